import { isDeepStrictEqual } from 'node:util';
import type { FileEntry } from '../image/entry.js';
import { dataSizeOf } from '../image/entry.js';
import { ImageUnpackerError, throwIfAborted } from '../image/error.js';
import type { DataRange } from '../image/other-holes.js';
import { dataRanges } from '../image/other-holes.js';
import { isDamage } from './damage.js';
import type { ObjectParts } from './object-parts.js';
import type { Store } from './store.js';

/** What is known of a file's data: its digest, and which of the file's bytes it is. */
export type FileData = Pick<FileEntry, 'size' | 'holes' | 'digest'>;

/** A file with more holes is sent: what it is made of is in memory. */
const MOST_RANGES = 65_536;
/** More is sent: nobody hears of an object while it is made, and who is silent for a minute counts as gone. */
const MOST_BYTES = 1n << 30n;
const PIECE_BYTES = 512 << 10;

/**
 * Whether `wanted` may have the data of `found` and differ in nothing but its holes, and is worth to be made of it. Whether it does
 * is seen when it is made. Of a few bytes and a large hole nothing large is made: whoever asks for it need not send it.
 */
export function isDerivable(wanted: FileData, found: FileData): boolean {
  if (wanted.digest === null || found.digest === null) return false;
  if (wanted.size !== found.size || wanted.digest.equals(found.digest)) return false;
  const [bytes, there] = [dataSizeOf(wanted.size, wanted.holes), dataSizeOf(found.size, found.holes)];
  if (bytes > MOST_BYTES || bytes > 2n * there) return false;
  return !isDeepStrictEqual(wanted.holes, found.holes);
}

/**
 * Makes and stores the object of `wanted` of that of `found`, which the store has. Resolves to whether it is there then; else they
 * differ in more than holes, or what is there is damaged, and what was made is an object that no image needs. Throws `CANCELLED`.
 */
export async function deriveObject(
  store: Pick<Store, 'putStream'>,
  parts: ObjectParts,
  wanted: FileData,
  found: FileData,
  signal: AbortSignal,
): Promise<boolean> {
  const ranges = dataRanges(wanted.size, wanted.holes, found.holes);
  if (ranges.length > MOST_RANGES) return false;
  const [size] = await parts.sizes([found.digest!]);
  if (size === undefined || BigInt(size) !== dataSizeOf(found.size, found.holes)) return false;
  const last = ranges.findLast(({ at }) => at !== undefined);
  const end = last === undefined ? 0 : Number(last.at! + last.length);
  const bytes = joined(ranges, parts.part(found.digest!, 0, end), signal);
  try {
    return (await store.putStream(bytes)).digest.equals(wanted.digest!);
  } catch (reason) {
    if (isDamage(reason)) return false;
    throw reason;
  }
}

/** What the ranges, which ascend, are of the bytes that come. */
async function* joined(
  ranges: readonly DataRange[],
  bytes: AsyncIterable<Buffer>,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  const reader = new ForwardReader(bytes);
  try {
    let piece = Buffer.allocUnsafe(PIECE_BYTES);
    let filled = 0;
    for (const { at, length } of ranges) {
      for (let done = 0; done < length;) {
        const room = piece.subarray(filled, filled + Math.min(Number(length) - done, PIECE_BYTES - filled));
        const count = at === undefined ? room.fill(0).length : await reader.read(Number(at) + done, room);
        done += count;
        filled += count;
        if (filled < PIECE_BYTES) continue;
        throwIfAborted(signal);
        yield piece;
        piece = Buffer.allocUnsafe(PIECE_BYTES);
        filled = 0;
      }
    }
    if (filled > 0) yield piece.subarray(0, filled);
  } finally {
    await reader.close();
  }
}

/** Reads from places that come one after the other. */
class ForwardReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #chunk: Buffer = Buffer.alloc(0);
  #start = 0;

  constructor(bytes: AsyncIterable<Buffer>) {
    this.#chunks = bytes[Symbol.asyncIterator]();
  }

  /** Copies bytes from `at` on, one at least, and not more than there is room for; resolves to how many. */
  async read(at: number, room: Buffer): Promise<number> {
    while (this.#start + this.#chunk.length <= at) {
      this.#start += this.#chunk.length;
      const next = await this.#chunks.next();
      if (next.done === true) throw new ImageUnpackerError('INTERNAL', 'An object ended before its size');
      this.#chunk = next.value;
    }
    return this.#chunk.copy(room, 0, at - this.#start);
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}
