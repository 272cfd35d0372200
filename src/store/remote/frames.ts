import { DIGEST_BYTES } from '../../image/digest.js';
import { ImageUnpackerError } from '../../image/error.js';

/*
 * How many objects travel in one body of HTTP. Integers are little-endian.
 *
 *   asked     = *digest                       in the order in which they are wanted
 *   answered  = *( state:u8 size:u64 data )   one for each that was asked for
 *   sizes     = *size:u64                     one for each that was asked for: 0 if it is not there, else its size and one
 *   sent      = *( digest size:u64 data )
 *   taken     = *added:u8                     one for each that was sent: 1 if it was not there before
 *   data      = size bytes, of a state 0 only
 *   state     = 0 here it is / 1 missing / 2 damaged / 3 larger than was wanted
 */

export const FRAME_STATES = ['good', 'missing', 'damaged', 'larger'] as const;
export type FrameState = (typeof FRAME_STATES)[number];

const SIZE_BYTES = 8;
export const ANSWER_HEAD_BYTES = 1 + SIZE_BYTES;
const SENT_HEAD_BYTES = DIGEST_BYTES + SIZE_BYTES;

/** No more objects are asked for or sent in one body: their digests take 1 MiB. */
export const MAX_BATCH_OBJECTS = 16_384;
/** Objects up to this size travel in batches; what is larger is asked for by itself, and carries on where it was. */
export const SMALL_BYTES = 1 << 20;

/** The sizes of objects; undefined of one that is not there. */
export function encodeSizes(sizes: readonly (number | undefined)[]): Buffer {
  const bytes = Buffer.alloc(sizes.length * SIZE_BYTES);
  for (const [at, size] of sizes.entries())
    if (size !== undefined) bytes.writeBigUInt64LE(BigInt(size) + 1n, at * SIZE_BYTES);
  return bytes;
}

/** The sizes of `count` objects; undefined when that is not what the bytes are. */
export function decodeSizes(bytes: Buffer, count: number): (number | undefined)[] | undefined {
  if (bytes.length !== count * SIZE_BYTES) return undefined;
  const sizes: (number | undefined)[] = [];
  for (let at = 0; at < bytes.length; at += SIZE_BYTES) {
    const size = bytes.readBigUInt64LE(at);
    if (size > Number.MAX_SAFE_INTEGER) return undefined;
    sizes.push(size === 0n ? undefined : Number(size) - 1);
  }
  return sizes;
}

/** The head of an answer. */
export function answerHead(state: FrameState, size: number): Buffer {
  const head = Buffer.alloc(ANSWER_HEAD_BYTES);
  head[0] = FRAME_STATES.indexOf(state);
  head.writeBigUInt64LE(BigInt(size), 1);
  return head;
}

/** Pieces of a body are made so large at least: each costs a call. */
const PIECE_BYTES = 256 << 10;

/** A body of objects, its length, and its pieces, each of which is good until the next one is asked for. */
export function sentBody(objects: readonly { digest: Buffer; bytes: Buffer }[]): {
  length: number;
  pieces: () => AsyncGenerator<Buffer, void, undefined>;
} {
  const length = objects.reduce((sum, { bytes }) => sum + SENT_HEAD_BYTES + bytes.length, 0);
  const pieces = async function* (): AsyncGenerator<Buffer, void, undefined> {
    const buffer = Buffer.allocUnsafeSlow(Math.min(length, PIECE_BYTES));
    let filled = 0;
    for (const { digest, bytes } of objects)
      for (const part of [sentHead(digest, bytes.length), bytes])
        for (let at = 0; at < part.length;) {
          const copied = part.copy(buffer, filled, at);
          at += copied;
          filled += copied;
          if (filled < buffer.length) continue;
          yield Promise.resolve(buffer);
          filled = 0;
        }
    if (filled > 0) yield Promise.resolve(buffer.subarray(0, filled));
  };
  return { length, pieces };
}

/** The head of an object that is sent. */
export function sentHead(digest: Buffer, size: number): Buffer {
  const head = Buffer.allocUnsafe(SENT_HEAD_BYTES);
  digest.copy(head);
  head.writeBigUInt64LE(BigInt(size), DIGEST_BYTES);
  return head;
}

/** Reads the head of the next answer. */
export async function readAnswerHead(reader: BodyReader): Promise<{ state: FrameState; size: number }> {
  const head = await reader.take(ANSWER_HEAD_BYTES);
  const state = FRAME_STATES[head[0]!];
  const size = Number(head.readBigUInt64LE(1));
  if (state === undefined || !Number.isSafeInteger(size))
    throw malformed('it has a state or a size that is none');
  return { state, size };
}

/** Reads the next object that was sent; undefined at the end. Throws `USAGE` at one that is not small. */
export async function readSent(reader: BodyReader): Promise<{ digest: Buffer; bytes: Buffer } | undefined> {
  if (await reader.isAtEnd()) return undefined;
  const head = await reader.take(SENT_HEAD_BYTES);
  const size = head.readBigUInt64LE(DIGEST_BYTES);
  if (size > BigInt(SMALL_BYTES)) throw malformed('it holds an object that is to travel by itself');
  return { digest: head.subarray(0, DIGEST_BYTES), bytes: await reader.take(Number(size)) };
}

/** Digests in a row. Throws `USAGE` when there are too many, or a part of one. */
export function splitDigests(row: Uint8Array, most = MAX_BATCH_OBJECTS): Buffer[] {
  const bytes = Buffer.from(row.buffer, row.byteOffset, row.byteLength);
  if (bytes.length % DIGEST_BYTES !== 0) throw malformed('it does not hold whole digests');
  const count = bytes.length / DIGEST_BYTES;
  if (count > most) throw malformed(`it has ${String(count)} digests; ${String(most)} are allowed`);
  return Array.from({ length: count }, (_, at) => bytes.subarray(at * DIGEST_BYTES, (at + 1) * DIGEST_BYTES));
}

function malformed(why: string): ImageUnpackerError {
  return new ImageUnpackerError('USAGE', `The message is not as it must be: ${why}`);
}

/** A body that is read as so many bytes at a time. */
export class BodyReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #waiting: Buffer = Buffer.alloc(0);

  constructor(body: AsyncIterable<Buffer>) {
    this.#chunks = body[Symbol.asyncIterator]();
  }

  /** Whether nothing is left. */
  async isAtEnd(): Promise<boolean> {
    while (this.#waiting.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return true;
      this.#waiting = next.value;
    }
    return false;
  }

  /** The next `count` bytes, no view of which is kept here. Throws `USAGE` when the body ends before. */
  async take(count: number): Promise<Buffer> {
    if (this.#waiting.length >= count) return this.#cut(count);
    const parts: Buffer[] = [];
    let missing = count;
    while (missing > 0) {
      if (await this.isAtEnd()) throw malformed(`it ends ${String(missing)} bytes too early`);
      const part = this.#cut(Math.min(missing, this.#waiting.length));
      parts.push(part);
      missing -= part.length;
    }
    return Buffer.concat(parts, count);
  }

  /** The next `count` bytes as they come. */
  async *pass(count: number): AsyncGenerator<Buffer, void, undefined> {
    for (let missing = count; missing > 0;) {
      if (await this.isAtEnd()) throw malformed(`it ends ${String(missing)} bytes too early`);
      const part = this.#cut(Math.min(missing, this.#waiting.length));
      missing -= part.length;
      yield part;
    }
  }

  #cut(count: number): Buffer {
    const part = this.#waiting.subarray(0, count);
    this.#waiting = this.#waiting.subarray(count);
    return part;
  }
}
