import type { ManifestIndex } from './manifest.js';

/*
 * The plain packing in which the addon takes and gives what it works on: little-endian integers of fixed
 * size, and bytes after their length as a u32. It never leaves the process.
 */

const NOTHING = Buffer.alloc(0);

/** Reads what the addon packed. */
export class PackedReader {
  readonly #buffer: Buffer;
  #at: number;

  constructor(buffer: Buffer, at = 0) {
    this.#buffer = buffer;
    this.#at = at;
  }

  get done(): boolean {
    return this.#at === this.#buffer.length;
  }

  u8(): number {
    return this.#buffer.readUInt8(this.#at++);
  }

  u32(): number {
    this.#at += 4;
    return this.#buffer.readUInt32LE(this.#at - 4);
  }

  u64(): bigint {
    this.#at += 8;
    return this.#buffer.readBigUInt64LE(this.#at - 8);
  }

  /** A part of the buffer, not a copy. */
  raw(length: number): Buffer {
    this.#at += length;
    return this.#buffer.subarray(this.#at - length, this.#at);
  }

  /** A part of the buffer, not a copy. */
  bytes(): Buffer {
    return this.raw(this.u32());
  }
}

/** A page of a manifest: its number, how many entries and which first path it has, that of the page behind it. */
export type IndexedPage = readonly [
  number: number,
  entries: number,
  first: Buffer,
  next: Buffer,
  page: Buffer,
];

/** Pages by their numbers, which ascend, each with what its index says of it (native/diff.cc). */
export function indexedPages(
  { pages: references }: ManifestIndex,
  pages: ReadonlyMap<number, Buffer>,
): IndexedPage[] {
  return Array.from(pages, ([number, page]) => {
    const { entries, first } = references[number]!;
    return [number, entries, first, references[number + 1]?.first ?? NOTHING, page];
  });
}

/** Paths one behind the other, each with its length. */
export function packPaths(paths: readonly Buffer[]): Buffer {
  return Buffer.concat(paths.flatMap(path => [u32(path.length), path]));
}

function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
