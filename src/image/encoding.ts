import { ImageUnpackerError } from './error.js';

/*
 * Numbers and byte strings as the formats of an image hold them.
 *
 *   varint  unsigned, little end first, seven bits a byte, the high bit set in all but the last; the
 *           shortest form only; at most 64 bits
 *   zigzag  signed: n >= 0 as 2n, n < 0 as -2n - 1, as a varint
 *   bytes   length:varint, then so many bytes
 *
 * What never leaves the process has numbers of a fixed size instead (`u32`, `u64`, `i64`), little end first.
 */

const MAX_VARINT_BYTES = 10;
/** So many bytes of a varint are below 2^53 together. */
const SAFE_VARINT_BYTES = 7;
const U64_LIMIT = 1n << 64n;

/** Collects bytes. The buffer that it hands out is its own until the next `take`. */
export class ByteWriter {
  #buffer = Buffer.allocUnsafe(4096);
  #view = viewOf(this.#buffer);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Writes a varint; `value` is a whole number from 0 up to 2^53 - 1, or a bigint up to 2^64 - 1. */
  varint(value: number | bigint): void {
    if (typeof value === 'bigint') {
      if (value > Number.MAX_SAFE_INTEGER) {
        this.#bigVarint(value);
        return;
      }
      value = Number(value);
    }
    this.#reserve(MAX_VARINT_BYTES);
    while (value >= 0x80) {
      this.#buffer[this.#length++] = (value % 0x80) | 0x80;
      value = Math.floor(value / 0x80);
    }
    this.#buffer[this.#length++] = value;
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  u64(value: bigint): void {
    this.#reserve(8);
    this.#view.setBigUint64(this.#length, value, true);
    this.#length += 8;
  }

  i64(value: bigint): void {
    this.#reserve(8);
    this.#view.setBigInt64(this.#length, value, true);
    this.#length += 8;
  }

  zigzag(value: bigint): void {
    this.varint(value >= 0n ? value * 2n : -value * 2n - 1n);
  }

  bytes(value: Uint8Array): void {
    this.varint(value.length);
    this.raw(value);
  }

  /** A copy of what was written; the writer is empty after. */
  take(): Buffer {
    const taken = Buffer.from(this.#buffer.subarray(0, this.#length));
    this.#length = 0;
    return taken;
  }

  #bigVarint(value: bigint): void {
    this.#reserve(MAX_VARINT_BYTES);
    while (value >= 0x80n) {
      this.#buffer[this.#length++] = Number(value & 0x7fn) | 0x80;
      value >>= 7n;
    }
    this.#buffer[this.#length++] = Number(value);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
    this.#view = viewOf(grown);
  }
}

function viewOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length);
}

/** Reads what `ByteWriter` wrote. Throws `IMAGE_INVALID` at whatever it could not have written. */
export class ByteReader {
  readonly #buffer: Buffer;
  #at: number;
  readonly #end: number;

  constructor(buffer: Buffer, start = 0, end = buffer.length) {
    this.#buffer = buffer;
    this.#at = start;
    this.#end = end;
  }

  get at(): number {
    return this.#at;
  }

  get left(): number {
    return this.#end - this.#at;
  }

  byte(): number {
    if (this.#at >= this.#end) throw invalid('ends too early');
    return this.#buffer[this.#at++]!;
  }

  raw(length: number): Buffer {
    if (length > this.left) throw invalid('ends too early');
    const start = this.#at;
    this.#at += length;
    return this.#buffer.subarray(start, this.#at);
  }

  /** A varint that must not be above `limit` (at most 2^53 - 1). */
  varint(limit: number): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (value > limit) throw invalid(`holds a number above ${String(limit)}`);
      if (byte < 0x80) {
        if (byte === 0 && scale > 1) throw invalid('holds a number that is not in its shortest form');
        return value;
      }
      scale *= 0x80;
      if (scale > Number.MAX_SAFE_INTEGER) throw invalid('holds a number that is too long');
    }
  }

  varint64(): bigint {
    let value = 0;
    let scale = 1;
    // Nearly all numbers fit a number, which is much quicker than a bigint.
    for (let count = 0; count < SAFE_VARINT_BYTES; count++) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && scale > 1) throw invalid('holds a number that is not in its shortest form');
        return BigInt(value);
      }
      scale *= 0x80;
    }
    return this.#longVarint(BigInt(value));
  }

  /** The rest of a varint, whose first bytes made `value`. */
  #longVarint(value: bigint): bigint {
    for (let shift = BigInt(7 * SAFE_VARINT_BYTES); shift < 70n; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      if (byte === 0) throw invalid('holds a number that is not in its shortest form');
      if (value >= U64_LIMIT) break;
      return value;
    }
    throw invalid('holds a number of more than 64 bits');
  }

  zigzag(): bigint {
    const value = this.varint64();
    return value & 1n ? -((value + 1n) >> 1n) : value >> 1n;
  }

  bytes(limit: number): Buffer {
    return this.raw(this.varint(limit));
  }
}

function invalid(what: string): ImageUnpackerError {
  return new ImageUnpackerError('IMAGE_INVALID', `The data ${what}`);
}
