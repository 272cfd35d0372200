import type { Cipher } from 'node:crypto';
import { createCipheriv, createHash } from 'node:crypto';

/** Bytes and numbers that are the same for the same seed on every machine. */
export class Random {
  readonly #stream: Cipher;

  constructor(seed: string) {
    const key = createHash('sha256').update(seed).digest().subarray(0, 16);
    this.#stream = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  }

  bytes(length: number): Buffer {
    return this.#stream.update(Buffer.alloc(length));
  }

  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    return this.bytes(4).readUInt32LE() % limit;
  }

  /** A size from `least` to `most`, small ones as likely as large ones: so are the sizes of files. */
  size(least: number, most: number): number {
    return Math.round(least * (most / least) ** (this.below(1 << 24) / (1 << 24)));
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}
