import { ByteReader } from '../image/encoding.js';
import type { InodeEntry } from '../image/entry.js';
import { readBody } from '../image/entry-body.js';
import { MAX_PAGE_BYTES } from '../image/limits.js';
import { PageWriter } from '../image/page.js';

const CHUNK_BYTES = 1 << 20;
const PAGE_HEAD_BYTES = 8;
const NO_PATH = Buffer.alloc(0);

/**
 * Keeps entries as the bytes that a page would hold, without their paths and names: a tenth of the memory
 * that they take as objects.
 */
export class EntryArena {
  readonly #writer = new PageWriter();
  readonly #chunks: Buffer[] = [];
  /** Where the last chunk is free. */
  #free = CHUNK_BYTES;

  /** Keeps an entry; returns where. */
  add(entry: InodeEntry): number {
    const body = this.#encode(entry);
    if (body.length > CHUNK_BYTES / 16) return (this.#chunks.push(Buffer.from(body)) - 1) * CHUNK_BYTES;
    if (this.#chunks.length === 0 || this.#free + body.length > CHUNK_BYTES) {
      this.#chunks.push(Buffer.allocUnsafe(CHUNK_BYTES));
      this.#free = 0;
    }
    const at = (this.#chunks.length - 1) * CHUNK_BYTES + this.#free;
    this.#free += body.copy(this.#chunks.at(-1)!, this.#free);
    return at;
  }

  /** The entry that is kept at `at`, as one at `path`. */
  get(at: number, path: Buffer): InodeEntry {
    const chunk = this.#chunks[Math.floor(at / CHUNK_BYTES)]!;
    return readBody(new ByteReader(chunk, at % CHUNK_BYTES), path) as InodeEntry;
  }

  /** The body of the only entry of a page, with an empty path (the grammar stands in image/page.ts). */
  #encode(entry: InodeEntry): Buffer {
    this.#writer.add({ ...entry, path: NO_PATH });
    const page = this.#writer.take();
    const reader = new ByteReader(page, PAGE_HEAD_BYTES);
    reader.varint(MAX_PAGE_BYTES);
    reader.varint(0);
    reader.varint(0);
    return page.subarray(reader.at);
  }
}
