import type { IncomingMessage, ServerResponse } from 'node:http';
import { isHexDigest } from '../image/digest.js';
import { ImageUnpackerError } from '../image/error.js';
import {
  DERIVED_PATH,
  DISK_MAPS_PATH,
  OBJECTS_PATH,
  SIZES_PATH,
  UPLOAD_LENGTH,
  UPLOAD_OFFSET,
  UPLOADS_PATH,
} from '../rpc/image-server-messages.js';
import type { Rights } from '../rpc/rights.js';
import { encodeDiskMap } from '../image/disk-map.js';
import { isDerivable } from '../store/derivable.js';
import { fromStoredMap, isMapName, MAX_DISK_MAP_BYTES } from '../store/disk-map-form.js';
import { gathered } from '../store/gathered.js';
import { sizesToStore } from '../store/object-parts.js';
import { decodeDerivation, MAX_DERIVATION_BYTES } from '../store/remote/derivation.js';
import {
  BodyReader,
  encodeSizes,
  MAX_BATCH_OBJECTS,
  SMALL_BYTES,
  splitDigests,
} from '../store/remote/frames.js';
import type { Store } from '../store/store.js';
import { callerOf, require } from './caller.js';
import type { DamageControl } from './damage.js';
import type { DemandedContent } from './demanded-content.js';
import { refuse } from './http-error.js';
import type { HeldStore } from './held-store.js';
import { sendObject } from './send-object.js';
import type { SendContext } from './send-objects.js';
import { sendObjects } from './send-objects.js';
import type { Statistics } from './statistics.js';
import { takeObjects } from './take-objects.js';
import type { Uploads } from './uploads.js';

/*
 * Bytes over HTTP/1.1, for callers whose certificates were checked:
 *
 *   GET  /v1/objects/DIGEST                the bytes of an object; ranges of one kind (RFC 9110, section 14)
 *   POST /v1/objects?limit=BYTES           many small ones, whose digests are the body (store/remote/frames.ts)
 *   POST /v1/sizes?for=read|store          the sizes of many, whose digests are the body (store/remote/frames.ts); of objects that are
 *                                          to be stored: of those that need not be sent
 *   PUT  /v1/objects                       stores many small ones
 *   PUT  /v1/objects/DIGEST                stores a large one, or goes on with it from Upload-Offset on, of Upload-Length;
 *                                          201 when it was not there, else 200
 *   HEAD /v1/uploads/DIGEST                Upload-Offset: how much of it has come
 *   PUT  /v1/derived/DIGEST                makes an object of one that is there (store/remote/derivation.ts); a byte, 1 when it is there now
 *   GET  /v1/disk-maps/IMAGE/DISK          a map as stores keep it; empty when there is none
 *   PUT  /v1/disk-maps/IMAGE/DISK          keeps one
 */

/** TLS brings 16 KiB at a time. */
const PIECE_BYTES = 256 << 10;

/** What the service works with. */
export interface HttpContext {
  held: HeldStore;
  /** For what is only looked up. */
  records: Store;
  uploads: Uploads;
  damage: DamageControl;
  /** Compares what is sent with what is here, if that is wanted. */
  demanded: DemandedContent | undefined;
  statistics: Statistics;
  /** Told of each request that failed. */
  failed: (request: string, caller: string, error: ImageUnpackerError) => void;
}

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  caller: Rights;
  signal: AbortSignal;
}

/** Answers a request. */
export async function answerHttp(
  request: IncomingMessage,
  response: ServerResponse,
  context: HttpContext,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => {
    gone.abort(new ImageUnpackerError('CANCELLED', 'The caller has gone'));
  });
  const caller = callerOf(request.socket);
  try {
    await route({ request, response, caller, signal: gone.signal }, context);
  } catch (reason) {
    const error = ImageUnpackerError.from(reason, 'Something unforeseen happened in the image server');
    context.failed(`${String(request.method)} ${String(request.url)}`, caller.name, error);
    refuse(request, response, error);
  }
}

async function route(exchange: Exchange, context: HttpContext): Promise<void> {
  const { request } = exchange;
  const { pathname, searchParams } = targetOf(request);
  const method = request.method ?? '';
  if (pathname === OBJECTS_PATH && method === 'POST') {
    await answerMany(exchange, context, Number(searchParams.get('limit') ?? SMALL_BYTES));
    return;
  }
  if (pathname === SIZES_PATH && method === 'POST')
    return answerSizes(exchange, context, searchParams.get('for'));
  if (pathname === OBJECTS_PATH && method === 'PUT') {
    await takeMany(exchange, context);
    return;
  }
  const parts = pathname.split('/');
  const [, , , first = '', second = ''] = parts;
  const top = parts.slice(0, 3).join('/');
  if (top === OBJECTS_PATH && isHexDigest(first) && parts.length === 4) {
    const digest = Buffer.from(first, 'hex');
    if (method === 'GET' || method === 'HEAD') return answerOne(exchange, context, digest);
    if (method === 'PUT') return takeOne(exchange, context, digest);
  }
  if (top === UPLOADS_PATH && isHexDigest(first) && parts.length === 4 && method === 'HEAD') {
    require(exchange.caller, { kind: 'upload' });
    const received = context.uploads.received(Buffer.from(first, 'hex'));
    exchange.response.writeHead(200, { [UPLOAD_OFFSET]: received, 'content-length': 0 }).end();
    return;
  }
  if (top === DERIVED_PATH && isHexDigest(first) && parts.length === 4 && method === 'PUT')
    return derive(exchange, context, Buffer.from(first, 'hex'));
  if (top === DISK_MAPS_PATH && isHexDigest(first) && isMapName(second) && parts.length === 5) {
    if (method === 'GET') return answerMap(exchange, context, first, second);
    if (method === 'PUT') return takeMap(exchange, context, first, second);
  }
  throw new ImageUnpackerError('UNSUPPORTED', `There is nothing at ${pathname} that takes ${method}`);
}

async function answerOne(exchange: Exchange, context: HttpContext, digest: Buffer): Promise<void> {
  const { request, response, caller } = exchange;
  require(caller, { kind: 'read' });
  await context.held.use(lease =>
    sendObject(request, response, digest, sendContext(exchange, context, lease)),
  );
}

async function answerMany(exchange: Exchange, context: HttpContext, limit: number): Promise<void> {
  const { request, response, caller } = exchange;
  require(caller, { kind: 'read' });
  if (!Number.isSafeInteger(limit) || limit < 0)
    throw new ImageUnpackerError('USAGE', 'The limit is no number');
  const digests = splitDigests(await readBody(request, MAX_BATCH_OBJECTS * 64));
  await context.held.use(async lease => {
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    // With the head in one call the first piece would be copied.
    response.flushHeaders();
    await sendObjects(response, digests, limit, sendContext(exchange, context, lease));
    response.end();
  });
}

async function answerSizes(
  { request, response, caller }: Exchange,
  { held, damage, demanded }: HttpContext,
  purpose: string | null,
): Promise<void> {
  require(caller, { kind: 'read' });
  if (purpose !== 'read' && purpose !== 'store')
    throw new ImageUnpackerError('USAGE', 'It is not said what the sizes are asked for');
  const digests = splitDigests(await readBody(request, MAX_BATCH_OBJECTS * 64));
  const sendsAll = demanded !== undefined && purpose === 'store';
  const sizes = sendsAll
    ? digests.map(() => undefined)
    : await held.use(lease => damage.sizes(lease, digests, purpose === 'read'));
  const answer = encodeSizes(sizes);
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': answer.length });
  response.end(answer);
}

function sendContext(
  { signal }: Exchange,
  { damage, statistics }: HttpContext,
  lease: SendContext['lease'],
): SendContext {
  return { lease, damage, statistics, signal };
}

async function takeMany({ request, response, caller }: Exchange, context: HttpContext): Promise<void> {
  require(caller, { kind: 'upload' });
  const answer = await context.held.use(lease =>
    takeObjects(new BodyReader(bodyOf(request)), lease, context),
  );
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': answer.length });
  response.end(answer);
}

async function takeOne(exchange: Exchange, context: HttpContext, digest: Buffer): Promise<void> {
  const { request, response, caller, signal } = exchange;
  require(caller, { kind: 'upload' });
  const offset = numberIn(request, UPLOAD_OFFSET);
  const size = numberIn(request, UPLOAD_LENGTH);
  if (offset === 0 && context.demanded === undefined && (await isStored(context, digest, size, signal))) {
    request.resume();
    response.writeHead(200, { 'content-length': 0 }).end();
    return;
  }
  const { added } = await context.uploads.take({ digest, offset, size, body: bodyOf(request), signal });
  context.damage.mended(digest);
  context.statistics.objectsReceived++;
  context.statistics.bytesReceived += size - offset;
  response.writeHead(added ? 201 : 200, { 'content-length': 0 }).end();
}

/** Makes an object of another one, unless all content is to be sent. */
async function derive(
  { request, response, caller, signal }: Exchange,
  { held, damage, demanded }: HttpContext,
  digest: Buffer,
): Promise<void> {
  require(caller, { kind: 'upload' });
  const { wanted, found } = decodeDerivation(await readBody(request, MAX_DERIVATION_BYTES));
  if (wanted.digest?.equals(digest) !== true || !isDerivable(wanted, found))
    throw new ImageUnpackerError('USAGE', 'The object cannot be made of that one');
  const isThere =
    demanded === undefined &&
    (await held.use(async ({ store }) => store.derive?.(wanted, found, signal))) === true;
  if (isThere) damage.mended(digest);
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': 1 });
  response.end(Buffer.of(Number(isThere)));
}

/** Whether an object is there and good: who sends it all the same may know that it is not. */
async function isStored(
  { held, damage }: HttpContext,
  digest: Buffer,
  size: number,
  signal: AbortSignal,
): Promise<boolean> {
  return held.use(async lease => {
    if ((await sizesToStore(lease.parts, [digest]))[0] !== size) return false;
    return (await damage.look(lease, [digest], signal))[0] === 'good';
  });
}

function numberIn(request: IncomingMessage, header: string): number {
  const text = request.headers[header];
  if (typeof text === 'string' && /^\d{1,15}$/.test(text)) return Number(text);
  throw new ImageUnpackerError('USAGE', `The header ${header} is missing, or no number`);
}

async function answerMap(
  { response, caller }: Exchange,
  context: HttpContext,
  image: string,
  disk: string,
): Promise<void> {
  require(caller, { kind: 'read' });
  const map = await context.records.diskMap(image, Buffer.from(disk, 'hex'));
  const bytes = map === undefined ? Buffer.alloc(0) : encodeDiskMap(map);
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes.length });
  response.end(bytes);
}

async function takeMap(
  { request, response, caller }: Exchange,
  context: HttpContext,
  image: string,
  disk: string,
): Promise<void> {
  require(caller, { kind: 'publish' });
  const map = fromStoredMap(await readBody(request, MAX_DISK_MAP_BYTES), disk, `sent as ${disk}`);
  await context.held.use(({ store }) => store.keepDiskMap(image, map));
  response.writeHead(200, { 'content-length': 0 }).end();
}

/** What a request is about. Throws `USAGE` for what is no path. */
function targetOf({ url = '' }: IncomingMessage): URL {
  // Two slashes would begin the name of a machine.
  if (/^\/(?!\/)/.test(url) && URL.canParse(url, 'http://server')) return new URL(url, 'http://server');
  throw new ImageUnpackerError('USAGE', 'What is asked for is no path');
}

/**
 * The body in pieces that are worth a call each. Who stops reading it has not ended the connection, through which it is still
 * to be answered.
 */
function bodyOf(request: IncomingMessage): AsyncIterable<Buffer> {
  return gathered(request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>, PIECE_BYTES);
}

/** All of a body of at most `limit` bytes. Throws `LIMIT_EXCEEDED`. */
async function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of bodyOf(request)) {
    size += chunk.length;
    if (size > limit)
      throw new ImageUnpackerError(
        'LIMIT_EXCEEDED',
        `A request like this has at most ${String(limit)} bytes`,
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}
