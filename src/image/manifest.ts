import { sha512, DIGEST_BYTES } from './digest.js';
import { ByteReader, ByteWriter } from './encoding.js';
import type { Entry } from './entry.js';
import { BLOCK_SIZE_BIG, blocksOf } from './entry.js';
import { ImageUnpackerError } from './error.js';
import { MAX_ENTRIES, MAX_INDEX_BYTES, MAX_PAGE_BYTES } from './limits.js';
import { PageWriter } from './page.js';
import { comparePaths, displayPath, MAX_PATH_BYTES, pathFault } from './path.js';
import type { PathHash } from './path-hash.js';

/*
 * The index of a manifest. Its SHA-512 is the digest of the image.
 *
 *   index   = "iuindex1" entries:varint bytes:varint blocks:varint count:varint page*
 *   page    = digest entries:varint length:varint first:bytes
 *   digest  = 64 bytes                                     SHA-512 of the page
 *
 *   entries   of the image, of the page
 *   bytes     sum of the sizes of all files, hard links counted once
 *   blocks    how many blocks of 4096 bytes the data of all files and the long symlinks take
 *   length    of the page in bytes
 *   first     path of the page's first entry
 *
 * A page ends where the XXH32 of the next path says so, hence at the same paths in every image that has
 * them: a page whose entries did not change is the same page.
 */

const MAGIC = Buffer.from('iuindex1');
/** A page shorter than this is never ended by a path. */
const MIN_PAGE_BYTES = 16 << 10;
/** One path in so many ends a page: with the usual 115 bytes an entry, pages of about 64 KiB. */
const CUT_ONE_IN = 512;
/** A page that has grown to this is ended whatever the path. */
const FULL_PAGE_BYTES = 256 << 10;
/** ext4 keeps the target of a symbolic link in the inode when it is shorter than this. */
const SHORT_TARGET_BYTES = 60;

/** What an index says of a page. */
export interface PageReference {
  digest: Buffer;
  entries: number;
  length: number;
  first: Buffer;
}

/** A decoded index. */
export interface ManifestIndex {
  entries: number;
  bytes: bigint;
  blocks: bigint;
  pages: readonly PageReference[];
}

/** A page as it is stored. */
export interface EncodedPage {
  digest: Buffer;
  bytes: Buffer;
}

/** A page of another manifest, with what its index says of it and what it adds to the index's sums. */
export interface WholePage extends EncodedPage {
  reference: PageReference;
  fileBytes: bigint;
  blocks: bigint;
}

/** A finished manifest: the image's digest and its encoded index. */
export interface EncodedIndex {
  digest: Buffer;
  bytes: Buffer;
  index: ManifestIndex;
}

/** Encodes a manifest page by page. Entries are added in the order of their paths, the root first. */
export class ManifestWriter {
  readonly #hash: PathHash;
  readonly #page = new PageWriter();
  readonly #pages: PageReference[] = [];
  /** The last page, if it was added whole: nothing more belongs to it. */
  #whole: WholePage | undefined;
  #first: Buffer = Buffer.alloc(0);
  #entries = 0;
  #bytes = 0n;
  #blocks = 0n;

  /** A writer that cuts pages by `hash`. */
  constructor(hash: PathHash) {
    this.#hash = hash;
  }

  /** Adds an entry; returns the page that it ended, if it did. */
  add(entry: Entry): EncodedPage | undefined {
    const ended = this.#endsBefore(entry.path) ? this.#endPage() : undefined;
    if (this.#page.count === 0) this.#first = entry.path;
    this.#page.add(entry);
    this.#count(1);
    if (entry.type === 'file') this.#bytes += entry.size;
    this.#blocks += dataBlocksOf(entry);
    return ended;
  }

  /** Whether a page begins with `path`, if that is added next. */
  beginsWith(path: Buffer): boolean {
    return this.#entries === 0 || this.#endsBefore(path);
  }

  /**
   * Adds all entries of a page of another manifest, and returns the page that it ended, if it did. It is the caller who
   * knows that a page begins here (`beginsWith`), and that the entry that comes next is the one behind it there as well.
   */
  addPage(page: WholePage): EncodedPage | undefined {
    const ended = this.#entries > 0 ? this.#endPage() : undefined;
    this.#whole = page;
    this.#count(page.reference.entries);
    this.#bytes += page.fileBytes;
    this.#blocks += page.blocks;
    return ended;
  }

  /** Ends the manifest; returns its last page and its index. */
  finish(): { page: EncodedPage; index: EncodedIndex } {
    const page = this.#endPage();
    const index = { entries: this.#entries, bytes: this.#bytes, blocks: this.#blocks, pages: this.#pages };
    const bytes = encodeIndex(index);
    return { page, index: { digest: sha512(bytes), bytes, index } };
  }

  #count(entries: number): void {
    this.#entries += entries;
    if (this.#entries <= MAX_ENTRIES) return;
    throw new ImageUnpackerError('LIMIT_EXCEEDED', `The tree has more than ${String(MAX_ENTRIES)} entries`);
  }

  #endsBefore(path: Buffer): boolean {
    if (this.#whole !== undefined) return true;
    if (this.#page.length < MIN_PAGE_BYTES) return false;
    return this.#page.length >= FULL_PAGE_BYTES || this.#hash(path) % CUT_ONE_IN === 0;
  }

  #endPage(): EncodedPage {
    if (this.#whole !== undefined) {
      const { reference, digest, bytes } = this.#whole;
      this.#whole = undefined;
      this.#pages.push(reference);
      return { digest, bytes };
    }
    const { count, length } = this.#page;
    const bytes = this.#page.take();
    const digest = sha512(bytes);
    this.#pages.push({ digest, entries: count, length, first: this.#first });
    return { digest, bytes };
  }
}

/** How many blocks of a file system the data of an entry takes. */
export function dataBlocksOf(entry: Entry): bigint {
  if (entry.type === 'symlink') return entry.target.length < SHORT_TARGET_BYTES ? 0n : 1n;
  if (entry.type !== 'file') return 0n;
  return entry.holes.reduce((blocks, hole) => blocks - hole.count, blocksOf(entry.size));
}

/** How many bytes the data of an entry takes on a file system, whole blocks counted. */
export function allocatedBytesOf(entry: Entry): bigint {
  return dataBlocksOf(entry) * BLOCK_SIZE_BIG;
}

/** Encodes an index. */
export function encodeIndex(index: ManifestIndex): Buffer {
  const writer = new ByteWriter();
  writer.raw(MAGIC);
  writer.varint(index.entries);
  writer.varint(index.bytes);
  writer.varint(index.blocks);
  writer.varint(index.pages.length);
  for (const page of index.pages) {
    writer.raw(page.digest);
    writer.varint(page.entries);
    writer.varint(page.length);
    writer.bytes(page.first);
  }
  return writer.take();
}

/** Decodes an index. Throws `IMAGE_INVALID` at whatever `ManifestWriter` would not have written. */
export function decodeIndex(bytes: Buffer): ManifestIndex {
  if (bytes.length > MAX_INDEX_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw invalid('is not the index of a manifest');
  }
  const reader = new ByteReader(bytes, MAGIC.length);
  const entries = reader.varint(MAX_ENTRIES);
  const total = reader.varint64();
  const blocks = reader.varint64();
  const count = reader.varint(MAX_ENTRIES);
  const pages: PageReference[] = [];
  let counted = 0;
  for (let i = 0; i < count; i++) {
    const page = readReference(reader, pages.at(-1));
    counted += page.entries;
    pages.push(page);
  }
  if (reader.left > 0) throw invalid('is followed by bytes that mean nothing');
  if (pages.length === 0) throw invalid('has no page');
  if (counted !== entries) throw invalid('does not count its entries right');
  return { entries, bytes: total, blocks, pages };
}

function readReference(reader: ByteReader, previous: PageReference | undefined): PageReference {
  const digest = reader.raw(DIGEST_BYTES);
  const entries = reader.varint(MAX_ENTRIES);
  const length = reader.varint(MAX_PAGE_BYTES);
  const first = reader.bytes(MAX_PATH_BYTES);
  const fault = pathFault(first);
  if (fault !== undefined) throw invalid(`has a page that begins at ${displayPath(first)}, which ${fault}`);
  if (entries === 0) throw invalid('has an empty page');
  if (previous === undefined ? first.length > 0 : comparePaths(previous.first, first) >= 0) {
    throw invalid('has pages that are out of order');
  }
  return { digest, entries, length, first };
}

function invalid(what: string): ImageUnpackerError {
  return new ImageUnpackerError('IMAGE_INVALID', `The data ${what}`);
}
