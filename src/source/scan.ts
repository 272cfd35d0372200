import type { Hole, InodeEntry, Segment, Xattr } from '../image/entry.js';
import { dataSizeOf, holesBetween, INODE_FLAGS, PRESERVED_FLAGS, segmentsOf } from '../image/entry.js';
import { DIGEST_BYTES } from '../image/digest.js';
import { PackedReader } from '../image/packing.js';
import { nanosecondsOf, secondsOf } from '../image/time.js';

/*
 * Decodes what native/scan.cc packs (its grammar stands there), and packs what native/ingest.cc takes.
 */

/** One entry of a scan. Xattrs, segments and target are known only of a detailed one. */
export interface ScanRecord {
  path: Buffer;
  type: InodeEntry['type'];
  detailed: boolean;
  /** The root of another file system, which was not entered. */
  mountRoot: boolean;
  mode: number;
  uid: number;
  gid: number;
  links: number;
  major: number;
  minor: number;
  /** All flags of the inode; without detail only immutable, append and nodump. */
  flags: number;
  mtime: bigint;
  ctime: bigint;
  inode: bigint;
  size: bigint;
  target: Buffer;
  /** Sorted by name. */
  xattrs: Xattr[];
  segments: Segment[];
}

const TYPES = ['file', 'directory', 'symlink', 'character', 'block', 'fifo', 'socket'] as const;
const NANOSECONDS = 1_000_000_000n;
const FIXED_BYTES = 72;
const LINKS_AT = 16;
/** The flags that a scan without detail knows. */
export const STAT_FLAGS = INODE_FLAGS.immutable | INODE_FLAGS.append | INODE_FLAGS.nodump;

/** The records of a packed scan, or of the part of it from one record to another, in the order of their paths. */
export function* decodeScan(
  scan: Buffer,
  from = 0,
  to = scan.length,
): Generator<ScanRecord, void, undefined> {
  for (let at = from; at < to;) {
    const end = at + 4 + scan.readUInt32LE(at);
    yield decodeRecord(scan, at + 4);
    at = end;
  }
}

/** The paths of all inodes, but for directories, that have several links: in order, by inode number. */
export function linkedPaths(scan: Buffer): Map<bigint, Buffer[]> {
  const paths = new Map<bigint, Buffer[]>();
  for (let at = 0; at < scan.length; at += 4 + scan.readUInt32LE(at)) {
    const isLinked = scan.readUInt32LE(at + 4 + LINKS_AT) > 1 && TYPES[scan[at + 4]! - 1] !== 'directory';
    if (!isLinked) continue;
    const { inode, path } = decodeRecord(scan, at + 4);
    const known = paths.get(inode);
    if (known === undefined) paths.set(inode, [path]);
    else known.push(path);
  }
  return paths;
}

/** Only the paths and types of the records, in the same order. */
export function* decodePaths(scan: Buffer): Generator<Pick<ScanRecord, 'path' | 'type'>, void, undefined> {
  for (let at = 0; at < scan.length; at += 4 + scan.readUInt32LE(at)) {
    const record = at + 4;
    const path = record + FIXED_BYTES + 4;
    const length = scan.readUInt32LE(record + FIXED_BYTES);
    yield { path: scan.subarray(path, path + length), type: TYPES[scan[record]! - 1]! };
  }
}

function decodeRecord(scan: Buffer, at: number): ScanRecord {
  const pathLength = scan.readUInt32LE(at + FIXED_BYTES);
  const path = at + FIXED_BYTES + 4;
  const detailed = scan[at + 1] === 1;
  const record: ScanRecord = {
    path: scan.subarray(path, path + pathLength),
    type: TYPES[scan[at]! - 1]!,
    detailed,
    mountRoot: scan[at + 2] === 1,
    mode: scan.readUInt32LE(at + 4),
    uid: scan.readUInt32LE(at + 8),
    gid: scan.readUInt32LE(at + 12),
    links: scan.readUInt32LE(at + LINKS_AT),
    major: scan.readUInt32LE(at + 20),
    minor: scan.readUInt32LE(at + 24),
    flags: scan.readUInt32LE(at + 28),
    mtime: scan.readBigInt64LE(at + 40) * NANOSECONDS + BigInt(scan.readUInt32LE(at + 32)),
    ctime: scan.readBigInt64LE(at + 48) * NANOSECONDS + BigInt(scan.readUInt32LE(at + 36)),
    inode: scan.readBigUInt64LE(at + 56),
    size: scan.readBigUInt64LE(at + 64),
    target: Buffer.alloc(0),
    xattrs: [],
    segments: [],
  };
  if (detailed) decodeDetail(new PackedReader(scan, path + pathLength), record);
  return record;
}

function decodeDetail(reader: PackedReader, record: ScanRecord): void {
  record.target = reader.bytes();
  for (let count = reader.u32(); count > 0; count--) {
    record.xattrs.push({ name: reader.bytes(), value: reader.bytes() });
  }
  record.xattrs.sort((a, b) => Buffer.compare(a.name, b.name));
  for (let count = reader.u32(); count > 0; count--) {
    record.segments.push({ offset: reader.u64(), length: reader.u64() });
  }
}

/** A file whose data is to be hashed, as a scan found it. */
export type FileToHash = Pick<ScanRecord, 'path' | 'size' | 'mtime' | 'ctime'> & {
  segments: readonly Segment[];
  /** What its data is known to be: where such an object is stored, the file is not read. */
  known?: Buffer | undefined;
};

/** What of a scanned file is hashed and stored: all but whole absent blocks. */
export function fileToHash(record: ScanRecord): FileToHash {
  const { path, size, mtime, ctime } = record;
  return { path, size, mtime, ctime, segments: segmentsOf(size, holesBetween(size, record.segments)) };
}

/** The entry of an inode that was scanned in detail. `digest` is that of the data of a file. */
export function entryOfRecord(
  record: ScanRecord,
  names: readonly Buffer[],
  digest: Buffer | null,
): InodeEntry {
  const { path, type, uid, gid, mtime, xattrs } = record;
  const flags = record.flags & PRESERVED_FLAGS;
  const inode = { path, mode: record.mode, uid, gid, mtime, flags, xattrs };
  switch (type) {
    case 'directory':
      return { type, ...inode };
    case 'file': {
      const holes = holesBetween(record.size, record.segments);
      const hasData = dataSizeOf(record.size, holes) > 0n;
      return { type, ...inode, names, size: record.size, holes, digest: hasData ? digest : null };
    }
    case 'symlink':
      return { type, ...inode, names, target: record.target };
    case 'character':
    case 'block':
      return { type, ...inode, names, major: record.major, minor: record.minor };
    case 'fifo':
    case 'socket':
      return { type, ...inode, names };
  }
}

/** Packs files for `ingestFiles`; the segments are what of them is data. */
export function packFiles(files: readonly FileToHash[]): Buffer {
  const length = files.reduce(
    (sum, { path, segments, known }) => sum + 41 + path.length + 16 * segments.length + (known?.length ?? 0),
    0,
  );
  const packed = Buffer.alloc(length);
  let at = 0;
  for (const file of files) {
    at = packed.writeUInt32LE(file.path.length, at);
    at += file.path.copy(packed, at);
    at = packed.writeBigUInt64LE(file.size, at);
    at = packed.writeBigInt64LE(secondsOf(file.mtime), at);
    at = packed.writeBigInt64LE(secondsOf(file.ctime), at);
    at = packed.writeUInt32LE(nanosecondsOf(file.mtime), at);
    at = packed.writeUInt32LE(nanosecondsOf(file.ctime), at);
    at = packed.writeUInt32LE(file.segments.length, at);
    for (const segment of file.segments) {
      at = packed.writeBigUInt64LE(segment.offset, at);
      at = packed.writeBigUInt64LE(segment.length, at);
    }
    at = packed.writeUInt8(file.known === undefined ? 0 : 1, at);
    if (file.known !== undefined) at += file.known.copy(packed, at);
  }
  return packed;
}

/** A packed file: all its bytes, and what of it is known. */
export interface PackedFile {
  packed: Buffer;
  /** Bytes of data. */
  bytes: bigint;
  /** Bytes of all of it. */
  size: bigint;
  holes: readonly Hole[];
  known: Buffer | undefined;
}

/** Takes apart what `packFiles` has packed. What a part is of can be packed together again. */
export function unpackFiles(packed: Buffer): PackedFile[] {
  const files: PackedFile[] = [];
  for (let at = 0; at < packed.length;) {
    const start = at;
    at += 4 + packed.readUInt32LE(at);
    const size = packed.readBigUInt64LE(at);
    at += 32;
    const segments: Segment[] = [];
    for (let count = packed.readUInt32LE((at += 4) - 4); count > 0; count--, at += 16)
      segments.push({ offset: packed.readBigUInt64LE(at), length: packed.readBigUInt64LE(at + 8) });
    const bytes = segments.reduce((sum, { length }) => sum + length, 0n);
    const known = packed[at++] === 1 ? packed.subarray(at, (at += DIGEST_BYTES)) : undefined;
    files.push({
      packed: packed.subarray(start, at),
      bytes,
      size,
      holes: holesBetween(size, segments),
      known,
    });
  }
  return files;
}

/** The path of a packed file. */
export function pathOf(packed: Buffer): Buffer {
  return packed.subarray(4, 4 + packed.readUInt32LE(0));
}

/** What became of a file. */
export interface IngestedFile {
  digest: Buffer;
  /** Whether it made a new object. */
  added: boolean;
  /** Whether it was known, and not read. */
  skipped: boolean;
}

/** The opposite of `decodeDigests`. */
export function encodeDigests(files: readonly IngestedFile[]): Buffer {
  return Buffer.concat(
    files.flatMap(({ digest, added, skipped }) => [Buffer.from([skipped ? 2 : added ? 1 : 0]), digest]),
  );
}

/** What `ingestFiles` resolved to. */
export function* decodeDigests(packed: Buffer): Generator<IngestedFile, void, undefined> {
  for (let at = 0; at < packed.length; at += 65) {
    yield { digest: packed.subarray(at + 1, at + 65), added: packed[at] === 1, skipped: packed[at] === 2 };
  }
}
