import type { handleServerStreamingCall, handleUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import { sha512 } from '../image/digest.js';
import { ImageUnpackerError } from '../image/error.js';
import { parseImageName } from '../image/name.js';
import type * as Wire from '../rpc/gen/image_unpacker/v1/image_server.js';
import type { ImageServerServiceServer } from '../rpc/gen/image_unpacker/v1/image_server.js';
import { ImageServerServiceService } from '../rpc/gen/image_unpacker/v1/image_server.js';
import { MAX_CALL_OBJECTS, RECORD_BYTES_AT_ONCE } from '../rpc/image-server-messages.js';
import type { Right, Rights } from '../rpc/rights.js';
import { LOCAL_RIGHTS, showRights } from '../rpc/rights.js';
import type { ReportFailure } from '../rpc/server-call.js';
import { answer, answerStream } from '../rpc/server-call.js';
import type { Service } from '../rpc/server.js';
import type { Channel } from '../store/channel.js';
import { decodeChannel, encodeChannel } from '../store/channel.js';
import { isSooner } from '../store/change-image.js';
import { decodeRecord, encodeRecord } from '../store/record.js';
import { splitDigests } from '../store/remote/frames.js';
import type { ImageRecord, Store } from '../store/store.js';
import type { ReplicationStatus } from './replication/status.js';
import { require, rightsOfConnection } from './caller.js';
import type { ChangeFeed } from './change-feed.js';
import { encodeChange } from './encode-change.js';
import type { DamageControl } from './damage.js';
import type { HeldStore, Lease } from './held-store.js';
import type { Revisions } from './revisions.js';
import type { Statistics } from './statistics.js';

const PROGRESS_MILLISECONDS = 500;
const STATES = { good: 0, missing: 1, damaged: 2 } as const;

/** What the service works with. */
export interface GrpcContext {
  /** For objects, and for what is changed. */
  held: HeldStore;
  /** For what is only looked up. It is open all the time, and keeps no object from being collected. */
  records: Store;
  revisions: Revisions;
  changes: ChangeFeed;
  damage: DamageControl;
  statistics: Statistics;
  /** How many connections and uploads there are. */
  load: () => { connections: number; uploads: number };
  location: string;
  requireWhole: (lease: Lease, record: ImageRecord) => Promise<void>;
  version: string;
  /** How it stands with following another server, if it does. */
  replication: () => ReplicationStatus | undefined;
  failed: ReportFailure;
}

/** What is known of who calls. */
interface Call {
  getAuthContext(): { sslPeerCertificate?: { raw: Buffer } };
}

/** The service of an image server. Each call decodes, checks what its caller may do, calls the store, and encodes. */
export function imageServerService(context: GrpcContext, trust: 'peer' | 'certificate'): Service {
  const { held, records, revisions, failed } = context;
  /** Who watches is told of it at once. */
  const change = async (work: (lease: Lease) => Promise<void>): Promise<void> => {
    await held.use(work);
    revisions.poke();
  };
  const callerOf = (call: Call): Rights => {
    if (trust === 'peer') return LOCAL_RIGHTS;
    const certificate = call.getAuthContext().sslPeerCertificate;
    return rightsOfConnection(certificate ?? call, certificate?.raw);
  };
  const unary =
    <Q, A>(
      right: Right | ((request: Q) => Right),
      method: (request: Q, caller: Rights, signal: AbortSignal) => Promise<A>,
    ): handleUnaryCall<Q, A> =>
    (call, callback) => {
      void answer(call, callback, failed, async signal => {
        const caller = callerOf(call);
        require(caller, typeof right === 'function' ? right(call.request) : right);
        return method(call.request, caller, signal);
      });
    };
  const streaming =
    <Q, A>(
      method: (request: Q, write: (answer: A) => Promise<void>, signal: AbortSignal) => Promise<void>,
    ): handleServerStreamingCall<Q, A> =>
    call => {
      void answerStream(call, failed, async signal => {
        require(callerOf(call), { kind: 'read' });
        await method(call.request, each => written(call, each, signal), signal);
      });
    };
  const toStream = ({ name }: { name: string }): Right => ({
    kind: 'upload',
    stream: parseImageName(name).stream,
  });
  const read: Right = { kind: 'read' };

  const implementation: ImageServerServiceServer = {
    getServer: unary(read, (_request: Wire.GetServerRequest, caller) =>
      Promise.resolve(describe(context, caller)),
    ),
    getRevision: unary(read, async (_request: Wire.GetRevisionRequest) => ({
      revision: await records.revision(),
    })),
    watchRevision: call => {
      void answerStream(call, failed, async signal => {
        require(callerOf(call), read);
        for await (const revision of revisions.watch(signal)) await written(call, { revision }, signal);
      });
    },
    listChanges: streaming(async ({ since }: Wire.ListChangesRequest, write) => {
      const from = since && { teller: since.teller, number: Number(since.number) };
      const { position, isWhole, changes } = await context.changes.since(from);
      const head = { position: { ...position, number: BigInt(position.number) }, isWhole };
      const all = changes.map(encodeChange);
      for (const part of all.length === 0 ? [[]] : bySize(all)) await write({ ...head, changes: part });
    }),
    getImage: unary(read, async ({ name }: Wire.GetImageRequest) => ({
      record: encodeRecord(await records.image(name)),
    })),
    listImages: streaming(async ({ stream }: Wire.ListImagesRequest, write) => {
      const images = (await records.list(stream)).map(each => ({
        name: each.name,
        record: encodeRecord(each),
      }));
      for (const part of bySize(images)) await write({ images: part });
    }),
    createImage: unary(toStream, async ({ name, record, reuseName }: Wire.CreateImageRequest, caller) => {
      const image = recordIn(name, record);
      if (reuseName) require(caller, { kind: 'administer' });
      await change(async lease => {
        await context.requireWhole(lease, image);
        await lease.store.create(image, { reuseName });
      });
      return {};
    }),
    replaceImage: unary(toStream, async ({ name, record, expected }: Wire.ReplaceImageRequest, caller) => {
      const [next, before] = [recordIn(name, record), recordIn(name, expected)];
      requireSameContent(next, before);
      if (isSooner(next.expiresAt, before.expiresAt)) require(caller, { kind: 'administer' });
      await change(({ store }) => store.replace(next, before));
      return {};
    }),
    deleteImage: unary({ kind: 'administer' }, async ({ name, expected, force }: Wire.DeleteImageRequest) => {
      const options = { force, ...(expected && { expected: recordIn(name, expected) }) };
      await change(({ store }) => store.remove(name, options));
      return {};
    }),
    listChannels: streaming(async ({ stream }: Wire.ListChannelsRequest, write) => {
      const channels = (await records.channels(stream)).map(channelMessage);
      for (const part of bySize(channels)) await write({ channels: part });
    }),
    findChannel: unary(read, async ({ stream, name }: Wire.FindChannelRequest) => {
      const channel = await records.channel(stream, name);
      return channel === undefined ? {} : { record: encodeChannel(channel) };
    }),
    replaceChannel: unary(
      ({ channel }: Wire.ReplaceChannelRequest) => ({ kind: 'upload', stream: channel?.stream ?? '' }),
      async ({ channel, expected }: Wire.ReplaceChannelRequest) => {
        if (channel === undefined) throw new ImageUnpackerError('USAGE', 'The channel is missing');
        const next = decodeChannel(Buffer.from(channel.record), 'the request', channel);
        await change(async ({ store }) =>
          store.replaceChannel(next, await expectedChannel(store, next, expected)),
        );
        return {};
      },
    ),
    listDiskMaps: unary(read, async ({ image }: Wire.ListDiskMapsRequest) => ({
      digests: Buffer.concat(await records.diskMaps(Buffer.from(image).toString('hex'))),
    })),
    checkObjects: streaming(async ({ digests }: Wire.CheckObjectsRequest, write, signal) => {
      const wanted = splitDigests(digests, MAX_CALL_OBJECTS);
      await held.use(({ store }) => checkObjects(store, wanted, write, signal));
    }),
    reportDamage: unary(read, async ({ digests }: Wire.ReportDamageRequest, _caller, signal) => {
      const wanted = splitDigests(digests, MAX_CALL_OBJECTS);
      await held.use(lease => context.damage.look(lease, wanted, signal));
      return {};
    }),
  };
  return { definition: ImageServerServiceService, implementation };
}

function describe(context: GrpcContext, caller: Rights): Wire.GetServerResponse {
  const { statistics, version, location } = context;
  const { connections, uploads } = context.load();
  return {
    version,
    caller: caller.name,
    rights: showRights(caller),
    store: location,
    startedAt: statistics.startedAt,
    connections: BigInt(connections),
    uploads: BigInt(uploads),
    objectsSent: BigInt(statistics.objectsSent),
    bytesSent: BigInt(statistics.bytesSent),
    objectsReceived: BigInt(statistics.objectsReceived),
    bytesReceived: BigInt(statistics.bytesReceived),
    damaged: BigInt(statistics.damaged),
    residentBytes: BigInt(process.memoryUsage.rss()),
    replication: replicationOf(context.replication()),
  };
}

function replicationOf(
  status: ReplicationStatus | undefined,
): Wire.GetServerResponse_Replication | undefined {
  if (status === undefined) return undefined;
  const { imagesBehind, refused, lastError, ...rest } = status;
  const counts = { imagesBehind: BigInt(imagesBehind), refused: BigInt(refused) };
  return { ...rest, ...counts, lastError: lastError?.message };
}

/** Writes, and waits until the other end has taken what was written before. */
async function written<Q, A>(call: ServerWritableStream<Q, A>, each: A, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (call.write(each)) return;
  await new Promise<void>((resolve, reject) => {
    const stop = (): void => {
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', stop, { once: true });
    call.once('drain', () => {
      signal.removeEventListener('abort', stop);
      resolve();
    });
  });
}

async function checkObjects(
  store: Store,
  digests: readonly Buffer[],
  write: (answer: Wire.CheckObjectsResponse) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  let told = 0;
  const onProgress = (objects: number, bytes: number): void => {
    if (performance.now() - told < PROGRESS_MILLISECONDS) return;
    told = performance.now();
    const value = { objects: BigInt(objects), bytes: BigInt(bytes) };
    void write({ event: { $case: 'progress', value } }).catch(() => undefined);
  };
  const { faults, sizes } = await store.check(digests, { signal, onProgress });
  const found = new Map(faults.map(({ digest, state }) => [digest.toString('latin1'), state]));
  const states = Buffer.from(digests.map(digest => STATES[found.get(digest.toString('latin1')) ?? 'good']));
  await write({ event: { $case: 'result', value: { states, sizes: sizes.map(BigInt) } } });
}

/** The record in a request. Throws `STORE_DAMAGED` for one that is none, `USAGE` for another image's. */
function recordIn(name: string, bytes: Uint8Array): ImageRecord {
  const record = decodeRecord(Buffer.from(bytes), 'the record in the request');
  if (record.name === name) return record;
  throw new ImageUnpackerError('USAGE', `The record of ${name} in the request is that of another image`);
}

/** Only the expiry and the tags of an image may become others. */
function requireSameContent(next: ImageRecord, before: ImageRecord): void {
  const plain = ({ name, digest, createdAt, entries, bytes, annotations }: ImageRecord): string =>
    JSON.stringify([name, digest, createdAt, entries, String(bytes), Object.entries(annotations).sort()]);
  if (plain(next) === plain(before)) return;
  throw new ImageUnpackerError('USAGE', `Of ${next.name} only the expiry and the tags can be changed`);
}

/** The channel as it is, if that is what the caller expects; one that is damaged counts as whatever is expected. */
async function expectedChannel(
  store: Store,
  { stream, name }: Channel,
  expected: Uint8Array | undefined,
): Promise<Channel | undefined> {
  let there: Channel | undefined;
  try {
    there = await store.channel(stream, name);
  } catch (reason) {
    if (reason instanceof ImageUnpackerError && reason.code === 'STORE_DAMAGED') return undefined;
    throw reason;
  }
  const digest = there && sha512(encodeChannel(there));
  if (expected === undefined ? digest === undefined : digest?.equals(expected) === true) return there;
  throw new ImageUnpackerError(
    'CHANNEL_CHANGED',
    `The channel ${stream}@${name} has been moved meanwhile; look at it again`,
  );
}

function channelMessage(channel: Channel): Wire.ChannelRecord {
  return { stream: channel.stream, name: channel.name, record: encodeChannel(channel) };
}

/** Records in their order, as many together as a message takes. */
function* bySize<T extends { record?: Uint8Array | undefined }>(
  records: readonly T[],
): Generator<T[], void, undefined> {
  let part: T[] = [];
  let bytes = 0;
  for (const each of records) {
    const length = each.record?.length ?? 0;
    if (part.length > 0 && bytes + length > RECORD_BYTES_AT_ONCE) {
      yield part;
      [part, bytes] = [[], 0];
    }
    part.push(each);
    bytes += length + 1024;
  }
  if (part.length > 0) yield part;
}
