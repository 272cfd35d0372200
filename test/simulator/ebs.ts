import { createHash } from 'node:crypto';
import { ServiceFault } from './fault.js';
import type { Place, Snapshot, World } from './state.js';
import { BLOCK_BYTES } from './state.js';

/*
 * EBS direct: POST /snapshots, PUT /snapshots/ID/blocks/N, POST /snapshots/completion/ID, GET /snapshots/ID/blocks
 * and GET /snapshots/ID/blocks/N?blockToken=.
 */

export interface EbsRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Record<string, string | undefined>;
  body: Buffer;
}

export interface EbsAnswer {
  status: number;
  headers?: Record<string, string>;
  body: Buffer | object;
}

const PENDING_AT_MOST = 100;

function invalid(message: string, reason = 'INVALID_PARAMETER_VALUE'): ServiceFault {
  return new ServiceFault(400, 'ValidationException', message, reason);
}

function absent(id: string): ServiceFault {
  return new ServiceFault(
    404,
    'ResourceNotFoundException',
    `The snapshot '${id}' does not exist.`,
    'SNAPSHOT_NOT_FOUND',
  );
}

/** The name of the operation that a request asks for. */
export function ebsOperation({ method, path }: Pick<EbsRequest, 'method' | 'path'>): string {
  if (method === 'PUT') return 'PutSnapshotBlock';
  if (method === 'POST') return path === '/snapshots' ? 'StartSnapshot' : 'CompleteSnapshot';
  return path.endsWith('/blocks') ? 'ListSnapshotBlocks' : 'GetSnapshotBlock';
}

export function answerEbs(world: World, place: Place, request: EbsRequest): EbsAnswer {
  const [, , second = '', third = '', fourth = ''] = request.path.split('/');
  switch (ebsOperation(request)) {
    case 'StartSnapshot':
      return start(world, place, request.body.toString());
    case 'PutSnapshotBlock':
      return put(world, place, second, Number(fourth), request);
    case 'CompleteSnapshot':
      return complete(world, place, third, request.headers);
    case 'ListSnapshotBlocks':
      return list(world, place, second, request.query);
    default:
      return get(world, place, second, Number(fourth), request.query);
  }
}

function start(world: World, place: Place, body: string): EbsAnswer {
  const given = JSON.parse(body) as {
    VolumeSize?: number;
    ParentSnapshotId?: string;
    ClientToken: string;
    Encrypted?: boolean;
    KmsKeyArn?: string;
    Description?: string;
    Tags?: { Key: string; Value: string }[];
  };
  const known = place.tokens.get(given.ClientToken);
  if (known !== undefined) {
    if (known.body !== body) {
      const message = 'Current request does not match request stored with this token.';
      throw new ServiceFault(409, 'ConflictException', message);
    }
    return { status: 201, body: describe(place, known.snapshot) };
  }
  if (given.VolumeSize === undefined) throw invalid("Value null at 'volumeSize' must not be null");
  const { ParentSnapshotId: parentId } = given;
  if (parentId !== undefined && (given.Encrypted !== undefined || given.KmsKeyArn !== undefined)) {
    throw invalid('Encrypted and KmsKeyArn cannot be given with a parent');
  }
  const parent = parentId === undefined ? undefined : parentOf(world, place, parentId);
  const pending = [...place.snapshots.values()].filter(each => world.stateOf(each) === 'pending').length;
  if (pending >= PENDING_AT_MOST) {
    throw new ServiceFault(400, 'ConcurrentLimitExceededException', 'Too many pending snapshots');
  }
  const key = given.KmsKeyArn === undefined ? place.findKey('alias/aws/ebs') : place.findKey(given.KmsKeyArn);
  const encrypted = parent?.encrypted ?? (given.Encrypted === true || given.KmsKeyArn !== undefined);
  const snapshot: Snapshot = {
    id: world.id('snap'),
    size: given.VolumeSize,
    tags: new Map((given.Tags ?? []).map(({ Key, Value }) => [Key, Value])),
    description: given.Description ?? '',
    startedAt: world.clock.now(),
    parent,
    blocks: new Map(),
    encrypted,
    keyArn: encrypted ? (parent?.keyArn ?? key?.arn) : undefined,
    sealedAt: undefined,
    fault: undefined,
  };
  place.snapshots.set(snapshot.id, snapshot);
  place.tokens.set(given.ClientToken, { body, snapshot });
  return { status: 201, body: describe(place, snapshot) };
}

function parentOf(world: World, place: Place, id: string): Snapshot {
  const parent = place.snapshots.get(id);
  if (parent === undefined || world.stateOf(parent) === 'error') throw absent(id);
  if (!world.isReadable(parent))
    throw invalid(`Source snapshot (${id}) is not complete.`, 'INVALID_SNAPSHOT_ID');
  return parent;
}

function describe(place: Place, { id, size, startedAt, parent, keyArn }: Snapshot): object {
  return {
    SnapshotId: id,
    OwnerId: place.account,
    Status: 'pending',
    StartTime: startedAt / 1000,
    VolumeSize: size,
    BlockSize: BLOCK_BYTES,
    ParentSnapshotId: parent?.id ?? null,
    KmsKeyArn: keyArn ?? null,
  };
}

function put(
  world: World,
  place: Place,
  id: string,
  number: number,
  { headers, body }: EbsRequest,
): EbsAnswer {
  const snapshot = place.snapshots.get(id);
  if (snapshot === undefined || world.stateOf(snapshot) === 'error') throw absent(id);
  if (snapshot.sealedAt !== undefined) throw invalid('Snapshot is already completed', 'INVALID_SNAPSHOT_ID');
  if (body.length !== BLOCK_BYTES) throw invalid('Failed to read block data');
  if (headers['x-amz-data-length'] !== String(BLOCK_BYTES)) {
    throw invalid(`Block data length is not valid, expected ${String(BLOCK_BYTES)}`, 'INVALID_BLOCK');
  }
  if (!(number >= 0 && number < snapshot.size * 2048)) {
    throw invalid(`Block index ${String(number)} is beyond the volume size extent`, 'INVALID_BLOCK');
  }
  const digest = world.keep(body);
  const checksum = Buffer.from(digest, 'hex').toString('base64');
  if (headers['x-amz-checksum'] !== checksum) {
    throw new ServiceFault(403, 'InvalidSignatureException', `computed ${checksum}`);
  }
  snapshot.blocks.set(number, digest);
  const echo = { 'x-amz-Checksum': checksum, 'x-amz-Checksum-Algorithm': 'SHA256' };
  return { status: 201, headers: echo, body: {} };
}

function complete(
  world: World,
  place: Place,
  id: string,
  headers: Record<string, string | undefined>,
): EbsAnswer {
  const snapshot = place.snapshots.get(id);
  if (snapshot === undefined) throw absent(id);
  if (snapshot.sealedAt === undefined) {
    const sum = createHash('sha256');
    for (const [, digest] of [...snapshot.blocks].sort(([a], [b]) => a - b))
      sum.update(Buffer.from(digest, 'hex'));
    const given = headers['x-amz-checksum'];
    if (given !== undefined && given !== sum.digest('base64'))
      snapshot.fault = 'Checksum mismatch for snapshot';
    if (Number(headers['x-amz-changedblockscount']) !== snapshot.blocks.size) {
      snapshot.fault = 'Changed blocks count mismatch for snapshot';
    }
    snapshot.sealedAt = world.clock.now();
  }
  return { status: 202, body: { Status: world.stateOf(snapshot) } };
}

function readable(world: World, place: Place, id: string): Snapshot {
  const snapshot = place.snapshots.get(id);
  if (snapshot === undefined || !world.isReadable(snapshot)) throw absent(id);
  return snapshot;
}

function list(world: World, place: Place, id: string, query: URLSearchParams): EbsAnswer {
  const snapshot = readable(world, place, id);
  const most = Number(query.get('maxResults') ?? 10_000);
  if (most < 100 || most > 10_000) throw invalid('maxResults is out of range');
  const from = Number(query.get('pageToken') ?? query.get('startingBlockIndex') ?? 0);
  const all = [...world.contentOf(snapshot)].filter(([number]) => number >= from);
  const page = all.slice(0, most);
  return {
    status: 200,
    body: {
      Blocks: page.map(([number]) => ({ BlockIndex: number, BlockToken: `${id}_${String(number)}` })),
      NextToken: all.length > most ? String(all[most]![0]) : null,
      VolumeSize: snapshot.size,
      BlockSize: BLOCK_BYTES,
    },
  };
}

function get(world: World, place: Place, id: string, number: number, query: URLSearchParams): EbsAnswer {
  const digest = world.contentOf(readable(world, place, id)).get(number);
  if (digest === undefined || query.get('blockToken') !== `${id}_${String(number)}`) {
    throw invalid('The block token is invalid.', 'INVALID_BLOCK_TOKEN');
  }
  const headers = {
    'x-amz-Data-Length': String(BLOCK_BYTES),
    'x-amz-Checksum': Buffer.from(digest, 'hex').toString('base64'),
    'x-amz-Checksum-Algorithm': 'SHA256',
  };
  return { status: 200, headers, body: world.blocks.get(digest)! };
}
