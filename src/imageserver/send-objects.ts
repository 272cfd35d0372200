import type { ServerResponse } from 'node:http';
import { ImageUnpackerError } from '../image/error.js';
import { answerHead, SMALL_BYTES } from '../store/remote/frames.js';
import type { DamageControl } from './damage.js';
import type { Lease } from './held-store.js';
import type { Statistics } from './statistics.js';

/** So much is read at once for one caller, with the bytes of one object more: there may be many callers. */
const GROUP_BYTES = 256 << 10;
const GROUP_OBJECTS = 512;

/** What objects are sent with. */
export interface SendContext {
  lease: Lease;
  damage: DamageControl;
  statistics: Statistics;
  signal: AbortSignal;
}

/** Writes, and waits until the bytes are needed no more. Throws `CANCELLED` when the other end has gone. */
export async function write(response: ServerResponse, bytes: Buffer, signal: AbortSignal): Promise<void> {
  if (response.destroyed) throw new ImageUnpackerError('CANCELLED', 'The caller has gone');
  await new Promise<void>((resolve, reject) => {
    const stop = (): void => {
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', stop, { once: true });
    response.write(bytes, failure => {
      signal.removeEventListener('abort', stop);
      if (failure) reject(failure);
      else resolve();
    });
  });
}

interface Wanted {
  digest: Buffer;
  size: number;
}

/** Sends many objects in one body, in the order asked (store/remote/frames.ts); none of more than `limit` bytes. */
export async function sendObjects(
  response: ServerResponse,
  digests: readonly Buffer[],
  limit: number,
  context: SendContext,
): Promise<void> {
  const { lease, signal } = context;
  const sizes = await lease.parts.sizes(digests);
  let group: Wanted[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    if (group.length > 0) await sendGroup(response, group, context);
    group = [];
    bytes = 0;
  };
  for (const [at, digest] of digests.entries()) {
    const size = sizes[at];
    if (size !== undefined && size <= Math.min(limit, SMALL_BYTES)) {
      if (bytes + size > GROUP_BYTES || group.length === GROUP_OBJECTS) await flush();
      group.push({ digest, size });
      bytes += size;
      continue;
    }
    await flush();
    if (size === undefined) await write(response, answerHead('missing', 0), signal);
    else if (size > limit) await write(response, answerHead('larger', size), signal);
    else await sendLarge(response, { digest, size }, context);
  }
  await flush();
}

async function sendGroup(
  response: ServerResponse,
  group: readonly Wanted[],
  context: SendContext,
): Promise<void> {
  const { lease, statistics, signal } = context;
  const digests = group.map(({ digest }) => digest);
  const objects = await lease.store.readMany(digests, SMALL_BYTES).catch(async (reason: unknown) => {
    if (!(reason instanceof ImageUnpackerError) || reason.code !== 'STORE_DAMAGED') throw reason;
    return readEach(digests, context);
  });
  const pieces: Buffer[] = [];
  for (const bytes of objects) {
    if (Buffer.isBuffer(bytes)) {
      pieces.push(answerHead('good', bytes.length), bytes);
      statistics.objectsSent++;
      statistics.bytesSent += bytes.length;
    } else {
      pieces.push(answerHead(bytes, 0));
    }
  }
  await write(response, Buffer.concat(pieces), signal);
}

/** Those that are good, one by one. */
async function readEach(
  digests: readonly Buffer[],
  { lease, damage, signal }: SendContext,
): Promise<(Buffer | 'missing' | 'damaged')[]> {
  const states = await damage.look(lease, digests, signal);
  const found: (Buffer | 'missing' | 'damaged')[] = [];
  for (const [at, digest] of digests.entries()) {
    const state = states[at]!;
    if (state === 'missing' || state === 'damaged') found.push(state);
    else found.push(await lease.store.read(digest, SMALL_BYTES));
  }
  return found;
}

/** As it is stored: the caller hashes it, and says so if it is damaged. */
async function sendLarge(
  response: ServerResponse,
  { digest, size }: Wanted,
  context: SendContext,
): Promise<void> {
  const { lease, statistics, signal } = context;
  await write(response, answerHead('good', size), signal);
  for await (const chunk of lease.parts.part(digest, 0, size)) await write(response, chunk, signal);
  statistics.objectsSent++;
  statistics.bytesSent += size;
}
