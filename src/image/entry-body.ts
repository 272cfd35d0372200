import { DIGEST_BYTES } from './digest.js';
import type { ByteWriter } from './encoding.js';
import { ByteReader } from './encoding.js';
import type { Entry, EntryType, FileEntry, Hole, InodeEntry, LinkableEntry, Xattr } from './entry.js';
import { blocksOf, flagsFault, PRESERVED_FLAGS, SYMLINK_MODE } from './entry.js';
import { manifestFault } from './manifest-fault.js';
import { ImageUnpackerError } from './error.js';
import {
  MAX_FILE_BYTES,
  MAX_HOLES,
  MAX_NAMES,
  MAX_TARGET_BYTES,
  MAX_XATTR_NAME_BYTES,
  MAX_XATTR_VALUE_BYTES,
  MAX_XATTRS,
} from './limits.js';
import { comparePaths, MAX_PATH_BYTES, pathFault } from './path.js';
import { nanosecondsOf, secondsOf } from './time.js';
import { xattrsFault } from './xattr.js';

/*
 * The body of an entry in a page; its grammar stands in page.ts.
 */

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
const NANOSECONDS = 1_000_000_000n;
const U32_MAX = 0xffff_ffff;
/** What most entries have of most things; one for all of them, since there may be millions. */
const NONE: readonly never[] = [];

/** Decodes the body of the entry at `path`. Throws `IMAGE_INVALID` at whatever `writeBody` would not have written. */
export function decodeBody(body: Buffer, path: Buffer): Entry {
  const reader = new ByteReader(body);
  const entry = readBody(reader, path);
  if (reader.left > 0) throw manifestFault(path, 'is followed by bytes that mean nothing');
  return entry;
}

/** The same of a body that something may follow; the reader stands after it then. */
export function readBody(reader: ByteReader, path: Buffer): Entry {
  try {
    const type = TYPES[reader.byte()];
    if (type === undefined) throw manifestFault(path, 'is of an unknown type');
    if (type === 'link') return { type, path, target: readLinkTarget(reader, path) };
    return readInode(reader, path, type);
  } catch (reason) {
    if (!(reason instanceof ImageUnpackerError) || reason.subject.path !== undefined) throw reason;
    throw manifestFault(path, `is not well-formed: ${reason.message}`);
  }
}

/** Encodes the body of an entry. */
export function writeBody(writer: ByteWriter, entry: Entry): void {
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
  writer.zigzag(secondsOf(entry.mtime));
  writer.varint(nanosecondsOf(entry.mtime));
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
  if ((flags & ~PRESERVED_FLAGS) !== 0) throw manifestFault(path, 'has inode flags that are unknown');
  const xattrs = readXattrs(reader);
  const fault =
    flagsFault(type, flags) ?? (xattrs.length === 0 ? undefined : xattrsFault({ type, mode, xattrs }));
  if (fault !== undefined) throw manifestFault(path, fault);
  if (type === 'symlink' && mode !== SYMLINK_MODE)
    throw manifestFault(path, 'is a symbolic link of another mode than 0777');
  if (type === 'directory') return { type, path, mode, uid, gid, mtime, flags, xattrs };
  const names = readNames(reader, path);
  switch (type) {
    case 'file': {
      const { size, holes, digest } = readFile(reader, path);
      return { type, path, mode, uid, gid, mtime, flags, xattrs, names, size, holes, digest };
    }
    case 'symlink': {
      const target = readTarget(reader, path);
      return { type, path, mode, uid, gid, mtime, flags, xattrs, names, target };
    }
    case 'character':
    case 'block': {
      // Twelve and twenty bits: what the kernel's device numbers hold (linux/kdev_t.h).
      const major = reader.varint(0xfff);
      const minor = reader.varint(0xfffff);
      return { type, path, mode, uid, gid, mtime, flags, xattrs, names, major, minor };
    }
    case 'fifo':
    case 'socket':
      return { type, path, mode, uid, gid, mtime, flags, xattrs, names };
  }
}

function readXattrs(reader: ByteReader): readonly Xattr[] {
  const total = reader.varint(MAX_XATTRS);
  if (total === 0) return NONE;
  const xattrs: Xattr[] = [];
  for (let count = total; count > 0; count--) {
    const name = reader.bytes(MAX_XATTR_NAME_BYTES);
    xattrs.push({ name, value: reader.bytes(MAX_XATTR_VALUE_BYTES) });
  }
  return xattrs;
}

function readNames(reader: ByteReader, path: Buffer): readonly Buffer[] {
  const count = reader.varint(MAX_NAMES - 1);
  if (count === 0) return NONE;
  const names: Buffer[] = [];
  let previous = path;
  for (let i = 0; i < count; i++) {
    const name = reader.bytes(MAX_PATH_BYTES);
    const fault = pathFault(name);
    if (fault !== undefined) throw manifestFault(name, fault);
    if (comparePaths(previous, name) >= 0) throw manifestFault(path, 'has names that are out of order');
    names.push(name);
    previous = name;
  }
  return names;
}

function readFile(reader: ByteReader, path: Buffer): Pick<FileEntry, 'size' | 'holes' | 'digest'> {
  const size = reader.varint64();
  if (size > MAX_FILE_BYTES) throw manifestFault(path, 'has a size that no file can have');
  const count = reader.varint(MAX_HOLES);
  const blocks = blocksOf(size);
  if (count === 0) return { size, holes: NONE, digest: blocks > 0n ? reader.raw(DIGEST_BYTES) : null };
  const holes: Hole[] = [];
  let at = 0n;
  let absent = 0n;
  for (let i = 0; i < count; i++) {
    const gap = reader.varint64();
    const length = reader.varint64();
    if (length === 0n || (i > 0 && gap === 0n)) throw manifestFault(path, 'has holes that are not maximal');
    const start = at + gap;
    at = start + length;
    if (at > blocks) throw manifestFault(path, 'has a hole beyond its end');
    absent += length;
    holes.push({ start, count: length });
  }
  return { size, holes, digest: absent < blocks ? reader.raw(DIGEST_BYTES) : null };
}

function readTarget(reader: ByteReader, path: Buffer): Buffer {
  const target = reader.bytes(MAX_TARGET_BYTES);
  if (target.length === 0 || target.includes(0)) throw manifestFault(path, 'has a bad symbolic link target');
  return target;
}

function readLinkTarget(reader: ByteReader, path: Buffer): Buffer {
  const target = reader.bytes(MAX_PATH_BYTES);
  const fault = target.length === 0 ? 'is the root' : pathFault(target);
  if (fault !== undefined) throw manifestFault(path, `is a hard link to a path that ${fault}`);
  if (comparePaths(target, path) >= 0)
    throw manifestFault(path, 'is a hard link to a path that comes after it');
  return target;
}
