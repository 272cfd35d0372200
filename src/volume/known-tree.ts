import type { Entry } from '../image/entry.js';
import type { EncodedPage, ManifestIndex, WholePage } from '../image/manifest.js';
import { ManifestWriter } from '../image/manifest.js';
import type { PathHash } from '../image/path-hash.js';
import { ManifestReader } from '../store/manifest-reader.js';

/*
 * What is known of the tree on a volume: its manifest, and of each entry the inode and the time at which
 * that last changed, by which a scan of stats tells what was touched since.
 *
 *   table = row*                                one row for each entry of a page
 *   row   = inode:u32 ctime:i64                 little-endian; ctime in nanoseconds since 1970
 */

/** Bytes of a row of an inode table. */
export const ROW_BYTES = 12;

/** Where an inode is and when it last changed. */
export interface InodeRow {
  inode: number;
  ctime: bigint;
}

/** A tree on a volume. */
export interface KnownTree {
  manifest: ManifestReader;
  /** SHA-512 of the manifest's index, and its bytes. */
  digest: Buffer;
  indexBytes: Buffer;
  /** The inode table of page `number`. */
  table(number: number): Promise<Buffer>;
}

/** Reads row `at` of an inode table. */
export function readRow(table: Buffer, at: number): InodeRow {
  return { inode: table.readUInt32LE(at * ROW_BYTES), ctime: table.readBigInt64LE(at * ROW_BYTES + 4) };
}

/** Writes row `at` of an inode table. */
export function writeRow(table: Buffer, at: number, row: InodeRow): void {
  table.writeUInt32LE(row.inode, at * ROW_BYTES);
  table.writeBigInt64LE(row.ctime, at * ROW_BYTES + 4);
}

/** Builds a known tree in memory from entries in order and their rows. */
export class KnownTreeBuilder {
  readonly #writer: ManifestWriter;
  readonly #pages: EncodedPage[] = [];
  readonly #tables: Buffer[] = [];
  #rows: InodeRow[] = [];
  /** The table of a page that was added whole. */
  #table: Buffer | undefined;

  constructor(hash: PathHash) {
    this.#writer = new ManifestWriter(hash);
  }

  add(entry: Entry, row: InodeRow): void {
    const ended = this.#writer.add(entry);
    if (ended !== undefined) this.#end(ended);
    this.#rows.push(row);
  }

  /**
   * Adds a page of another tree with its table, if a page begins here; says whether it did. The entry that comes next must
   * be the one behind it there as well.
   */
  addPage(page: WholePage, table: Buffer): boolean {
    if (!this.#writer.beginsWith(page.reference.first)) return false;
    const ended = this.#writer.addPage(page);
    if (ended !== undefined) this.#end(ended);
    this.#table = table;
    return true;
  }

  finish(): KnownTree {
    const { page, index } = this.#writer.finish();
    this.#end(page);
    const manifest = memoryReader(index.index, this.#pages);
    const table = (number: number): Promise<Buffer> => Promise.resolve(this.#tables[number]!);
    return { manifest, digest: index.digest, indexBytes: index.bytes, table };
  }

  #end(page: EncodedPage): void {
    this.#tables.push(this.#table ?? tableOf(this.#rows));
    this.#pages.push(page);
    this.#rows = [];
    this.#table = undefined;
  }
}

function tableOf(rows: readonly InodeRow[]): Buffer {
  const table = Buffer.alloc(rows.length * ROW_BYTES);
  for (const [at, row] of rows.entries()) writeRow(table, at, row);
  return table;
}

function memoryReader(index: ManifestIndex, pages: readonly EncodedPage[]): ManifestReader {
  const bytesOf = (number: number): Buffer => pages[number]!.bytes;
  return new ManifestReader(index, { pages: numbers => Promise.resolve(numbers.map(bytesOf)) });
}
