import type { ImageUnpackerError } from '../../image/error.js';
import { throwIfAborted } from '../../image/error.js';
import { exceeded } from '../../image/settable-limits.js';
import { damaged } from './fault.js';
import { BLOCK_BYTES } from './limits.js';

const NO_BYTES = Buffer.alloc(0);

export interface ByteReaderOptions {
  /** What the bytes come from, for messages. */
  archive: string;
  /** How many bytes are read at most; going over it is `LIMIT_EXCEEDED`. */
  maxBytes: number;
  signal?: AbortSignal | undefined;
}

/** Hands out the bytes of a stream in the pieces that are asked for, without copying where it can. */
export class ByteReader {
  readonly archive: string;
  readonly #maxBytes: number;
  readonly #signal: AbortSignal | undefined;
  readonly #iterator: AsyncIterator<Buffer>;
  #chunk: Buffer = NO_BYTES;
  #received = 0;

  constructor(input: AsyncIterable<Buffer>, options: ByteReaderOptions) {
    this.archive = options.archive;
    this.#maxBytes = options.maxBytes;
    this.#signal = options.signal;
    this.#iterator = input[Symbol.asyncIterator]();
  }

  /** How many bytes have been handed out. */
  get position(): number {
    return this.#received - this.#chunk.length;
  }

  /** The next bytes, at least one and at most `most` of them; undefined at the end. */
  async next(most: number): Promise<Buffer | undefined> {
    while (this.#chunk.length === 0) if (!(await this.#receive())) return undefined;
    const bytes = this.#chunk.subarray(0, most);
    this.#chunk = this.#chunk.subarray(bytes.length);
    return bytes;
  }

  /** The next block; undefined if the stream ends before it. Throws `SOURCE_DAMAGED` if it ends within it. */
  async nextBlock(): Promise<Buffer | undefined> {
    while (this.#chunk.length === 0) if (!(await this.#receive())) return undefined;
    return this.read(BLOCK_BYTES);
  }

  /** The next `length` bytes. Throws `SOURCE_DAMAGED` if the stream ends before them. */
  async read(length: number): Promise<Buffer> {
    if (this.#chunk.length >= length) {
      const bytes = this.#chunk.subarray(0, length);
      this.#chunk = this.#chunk.subarray(length);
      return bytes;
    }
    const pieces: Buffer[] = [];
    for (let missing = length; missing > 0;) {
      const piece = await this.next(missing);
      if (piece === undefined) throw this.truncated();
      pieces.push(piece);
      missing -= piece.length;
    }
    return Buffer.concat(pieces, length);
  }

  /** Passes over `length` bytes. Throws `SOURCE_DAMAGED` if the stream ends before that. */
  async skip(length: bigint): Promise<void> {
    for (let left = length; left > 0n;) {
      const bytes = await this.next(left > BigInt(Number.MAX_SAFE_INTEGER) ? Infinity : Number(left));
      if (bytes === undefined) throw this.truncated();
      left -= BigInt(bytes.length);
    }
  }

  /** The error of a stream that has ended too early. */
  truncated(path?: Buffer): ImageUnpackerError {
    const place = path === undefined ? { archive: this.archive } : { archive: this.archive, path };
    return damaged(place, `the archive ends too early, at byte ${String(this.#received)}`);
  }

  /** Lets go of the stream; to be called once, whatever happened. */
  async close(): Promise<void> {
    await this.#iterator.return?.();
  }

  async #receive(): Promise<boolean> {
    throwIfAborted(this.#signal);
    const result = await this.#iterator.next();
    if (result.done === true) return false;
    this.#chunk = result.value;
    this.#received += this.#chunk.length;
    if (this.#received <= this.#maxBytes) return true;
    const what = `Cannot read ${this.archive}: it holds more than ${String(this.#maxBytes)} bytes`;
    throw exceeded(what, 'sourceBytes', this.archive);
  }
}
