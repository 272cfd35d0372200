import type { Entry, EntryType, Hole, InodeEntry, LinkableEntry, Xattr } from './entry.js';
import { blocksOf, dataSizeOf, PRESERVED_FLAGS } from './entry.js';
import { ByteReader, ByteWriter } from './encoding.js';
import { ImageUnpackerError } from './error.js';
import {
  MAX_FILE_BYTES,
  MAX_HOLES,
  MAX_NAMES,
  MAX_PAGE_BYTES,
  MAX_TARGET_BYTES,
  MAX_XATTR_NAME_BYTES,
  MAX_XATTR_VALUE_BYTES,
  MAX_XATTRS,
} from './limits.js';
import { comparePaths, displayPath, MAX_PATH_BYTES, pathFault } from './path.js';

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
const TYPES: readonly (EntryType | undefined)[] = [
  undefined,
  'file',
  'directory',
  'symlink',
  'character',
  'block',
  'fifo',
  'socket',
  'link',
];
const TYPE_CODES = new Map(TYPES.map((type, code) => [type, code]));
const DIGEST_BYTES = 64;
const NANOSECONDS = 1_000_000_000n;
const U32_MAX = 0xffff_ffff;

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
  const entry = decodeBody(reader, path);
  if (reader.left > 0) throw faulty(path, 'is followed by bytes that mean nothing');
  return entry;
}

/** Decodes the body of the entry at `path`; the reader stands after it then. */
export function decodeBody(reader: ByteReader, path: Buffer): Entry {
  const type = TYPES[reader.byte()];
  if (type === undefined) throw faulty(path, 'is of an unknown type');
  if (type === 'link') return { type, path, target: readLinkTarget(reader, path) };
  return readInode(reader, path, type);
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
  if (fault !== undefined) throw faulty(path, fault);
  if (previous !== undefined) {
    if (comparePaths(previous, path) >= 0) throw faulty(path, 'is not in its place, or is there twice');
    if (shared < sharedLength(previous, path)) throw faulty(path, 'is not in its shortest form');
  }
  return path;
}

function writeBody(writer: ByteWriter, entry: Entry): void {
  writer.byte(TYPE_CODES.get(entry.type)!);
  if (entry.type === 'link') {
    writer.bytes(entry.target);
    return;
  }
  writeInode(writer, entry);
  if (entry.type === 'directory') return;
  writer.varint(entry.names.length);
  for (const name of entry.names) writer.bytes(name);
  writeSpecific(writer, entry);
}

function writeInode(writer: ByteWriter, entry: InodeEntry): void {
  writer.varint(entry.mode);
  writer.varint(entry.uid);
  writer.varint(entry.gid);
  const nanoseconds = ((entry.mtime % NANOSECONDS) + NANOSECONDS) % NANOSECONDS;
  writer.zigzag((entry.mtime - nanoseconds) / NANOSECONDS);
  writer.varint(nanoseconds);
  writer.varint(entry.flags);
  writer.varint(entry.xattrs.length);
  for (const { name, value } of entry.xattrs) {
    writer.bytes(name);
    writer.bytes(value);
  }
}

function writeSpecific(writer: ByteWriter, entry: LinkableEntry): void {
  switch (entry.type) {
    case 'file': {
      writer.varint(entry.size);
      writer.varint(entry.holes.length);
      let at = 0n;
      for (const { start, count } of entry.holes) {
        writer.varint(start - at);
        writer.varint(count);
        at = start + count;
      }
      if (entry.digest !== null) writer.raw(entry.digest);
      return;
    }
    case 'symlink':
      writer.bytes(entry.target);
      return;
    case 'character':
    case 'block':
      writer.varint(entry.major);
      writer.varint(entry.minor);
      return;
    case 'fifo':
    case 'socket':
  }
}

function readInode(reader: ByteReader, path: Buffer, type: InodeEntry['type']): Entry {
  const mode = reader.varint(0o7777);
  // The highest number means "no change" to chown(2): nothing can be owned by it.
  const uid = reader.varint(U32_MAX - 1);
  const gid = reader.varint(U32_MAX - 1);
  const seconds = reader.zigzag();
  const mtime = seconds * NANOSECONDS + BigInt(reader.varint(Number(NANOSECONDS) - 1));
  const flags = reader.varint(U32_MAX);
  if ((flags & ~PRESERVED_FLAGS) !== 0) throw faulty(path, 'has inode flags that are unknown');
  const inode = { path, mode, uid, gid, mtime, flags, xattrs: readXattrs(reader, path) };
  if (type === 'directory') return { type, ...inode };
  const linkable = { ...inode, names: readNames(reader, path) };
  switch (type) {
    case 'file':
      return { type, ...linkable, ...readFile(reader, path) };
    case 'symlink':
      return { type, ...linkable, target: readTarget(reader, path) };
    case 'character':
    case 'block':
      // Twelve and twenty bits: what the kernel's device numbers hold (linux/kdev_t.h).
      return { type, ...linkable, major: reader.varint(0xfff), minor: reader.varint(0xfffff) };
    case 'fifo':
    case 'socket':
      return { type, ...linkable };
  }
}

function readXattrs(reader: ByteReader, path: Buffer): Xattr[] {
  const count = reader.varint(MAX_XATTRS);
  const xattrs: Xattr[] = [];
  let previous: Buffer | undefined;
  for (let i = 0; i < count; i++) {
    const name = reader.bytes(MAX_XATTR_NAME_BYTES);
    const value = reader.bytes(MAX_XATTR_VALUE_BYTES);
    if (name.length === 0 || name.includes(0))
      throw faulty(path, 'has an extended attribute with a bad name');
    if (previous !== undefined && Buffer.compare(previous, name) >= 0) {
      throw faulty(path, 'has extended attributes that are out of order');
    }
    xattrs.push({ name, value });
    previous = name;
  }
  return xattrs;
}

function readNames(reader: ByteReader, path: Buffer): Buffer[] {
  const count = reader.varint(MAX_NAMES - 1);
  const names: Buffer[] = [];
  let previous = path;
  for (let i = 0; i < count; i++) {
    const name = reader.bytes(MAX_PATH_BYTES);
    const fault = pathFault(name);
    if (fault !== undefined) throw faulty(name, fault);
    if (comparePaths(previous, name) >= 0) throw faulty(path, 'has names that are out of order');
    names.push(name);
    previous = name;
  }
  return names;
}

function readFile(reader: ByteReader, path: Buffer): { size: bigint; holes: Hole[]; digest: Buffer | null } {
  const size = reader.varint64();
  if (size > MAX_FILE_BYTES) throw faulty(path, 'has a size that no file can have');
  const count = reader.varint(MAX_HOLES);
  const blocks = blocksOf(size);
  const holes: Hole[] = [];
  let at = 0n;
  for (let i = 0; i < count; i++) {
    const gap = reader.varint64();
    const length = reader.varint64();
    if (length === 0n || (i > 0 && gap === 0n)) throw faulty(path, 'has holes that are not maximal');
    const start = at + gap;
    at = start + length;
    if (at > blocks) throw faulty(path, 'has a hole beyond its end');
    holes.push({ start, count: length });
  }
  return { size, holes, digest: dataSizeOf(size, holes) > 0n ? reader.raw(DIGEST_BYTES) : null };
}

function readTarget(reader: ByteReader, path: Buffer): Buffer {
  const target = reader.bytes(MAX_TARGET_BYTES);
  if (target.length === 0 || target.includes(0)) throw faulty(path, 'has a bad symbolic link target');
  return target;
}

function readLinkTarget(reader: ByteReader, path: Buffer): Buffer {
  const target = reader.bytes(MAX_PATH_BYTES);
  const fault = target.length === 0 ? 'is the root' : pathFault(target);
  if (fault !== undefined) throw faulty(path, `is a hard link to a path that ${fault}`);
  if (comparePaths(target, path) >= 0) throw faulty(path, 'is a hard link to a path that comes after it');
  return target;
}

function faulty(path: Buffer, what: string): ImageUnpackerError {
  const shown = displayPath(path);
  return new ImageUnpackerError('IMAGE_INVALID', `The manifest is not valid: ${shown} ${what}`, {
    path: shown,
  });
}
