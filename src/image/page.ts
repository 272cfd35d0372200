import { ByteReader, ByteWriter } from './encoding.js';
import type { Entry } from './entry.js';
import { decodeBody, writeBody } from './entry-body.js';
import { manifestFault } from './manifest-fault.js';
import { ImageUnpackerError } from './error.js';
import { MAX_PAGE_BYTES } from './limits.js';
import { comparePaths, MAX_PATH_BYTES, pathFault } from './path.js';

/*
 * A page of a manifest: entries of a tree in the order of their paths.
 *
 *   page       = "iupage1\n" entry*                       at least one entry
 *   entry      = length:varint path body                  length of path and body, in bytes
 *   path       = shared:varint rest:bytes                 the first `shared` bytes of the path before it in
 *                                                         this page (as many as are the same), then `rest`
 *   body       = %x01 inode names file                    a regular file
 *              | %x02 inode                               a directory
 *              | %x03 inode names target:bytes            a symbolic link
 *              | %x04 inode names device                  a character device
 *              | %x05 inode names device                  a block device
 *              | %x06 inode names                         a fifo
 *              | %x07 inode names                         a socket
 *              | %x08 target:bytes                        a further name of the inode at the path `target`
 *   inode      = mode:varint uid:varint gid:varint seconds:zigzag nanoseconds:varint flags:varint xattrs
 *   xattrs     = count:varint (name:bytes value:bytes)*   sorted by name, each name once
 *   names      = count:varint path:bytes*                 the inode's further names, sorted, all of them
 *   file       = size:varint holes digest?                digest: 64 bytes, there if the file has data
 *   holes      = count:varint (gap:varint blocks:varint)* gap: data blocks between the hole before and this one
 *   device     = major:varint minor:varint
 *
 * There is exactly one encoding of an entry, so that equal trees have equal bytes.
 */

const MAGIC = Buffer.from('iupage1\n');

/** Writes one page, entry by entry; paths must ascend. */
export class PageWriter {
  readonly #page = new ByteWriter();
  readonly #entry = new ByteWriter();
  #previous: Buffer | undefined;
  #count = 0;

  /** Entries in the page so far. */
  get count(): number {
    return this.#count;
  }

  /** Bytes of the page so far. */
  get length(): number {
    return this.#page.length;
  }

  add(entry: Entry): void {
    if (this.#count === 0) this.#page.raw(MAGIC);
    const previous = this.#previous;
    const shared = previous === undefined ? 0 : sharedLength(previous, entry.path);
    this.#entry.varint(shared);
    this.#entry.bytes(entry.path.subarray(shared));
    writeBody(this.#entry, entry);
    this.#page.bytes(this.#entry.take());
    this.#previous = entry.path;
    this.#count++;
  }

  /** The finished page; the writer then begins another. */
  take(): Buffer {
    this.#previous = undefined;
    this.#count = 0;
    return this.#page.take();
  }
}

/** The entries of a page. Throws `IMAGE_INVALID` at anything that `PageWriter` would not have written. */
export function decodePage(page: Buffer): Entry[] {
  if (page.length > MAX_PAGE_BYTES || !page.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new ImageUnpackerError('IMAGE_INVALID', 'The data is not a page of a manifest');
  }
  const reader = new ByteReader(page, MAGIC.length);
  const entries: Entry[] = [];
  let previous: Buffer | undefined;
  while (reader.left > 0) {
    const bytes = reader.bytes(MAX_PAGE_BYTES);
    const entry = decodeEntry(bytes, previous);
    entries.push(entry);
    previous = entry.path;
  }
  if (entries.length === 0) throw new ImageUnpackerError('IMAGE_INVALID', 'A page of the manifest is empty');
  return entries;
}

function decodeEntry(bytes: Buffer, previous: Buffer | undefined): Entry {
  const reader = new ByteReader(bytes);
  const path = readPath(reader, previous);
  return decodeBody(reader.raw(reader.left), path);
}

function sharedLength(a: Buffer, b: Buffer): number {
  const length = Math.min(a.length, b.length);
  let at = 0;
  while (at < length && a[at] === b[at]) at++;
  return at;
}

function readPath(reader: ByteReader, previous: Buffer | undefined): Buffer {
  const shared = reader.varint(previous?.length ?? 0);
  const rest = reader.bytes(MAX_PATH_BYTES);
  const path =
    previous === undefined ? Buffer.from(rest) : Buffer.concat([previous.subarray(0, shared), rest]);
  const fault = pathFault(path);
  if (fault !== undefined) throw manifestFault(path, fault);
  if (previous !== undefined) {
    if (comparePaths(previous, path) >= 0)
      throw manifestFault(path, 'is not in its place, or is there twice');
    if (shared < sharedLength(previous, path)) throw manifestFault(path, 'is not in its shortest form');
  }
  return path;
}
