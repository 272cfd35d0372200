/*
 * What an image holds of each entry of a tree. All of it is compared, stored and restored; what is not
 * here (inode numbers, atime, ctime, the size of a directory) is not content.
 */

/** One extended attribute. Names are bytes and unique within an entry. */
export interface Xattr {
  name: Buffer;
  value: Buffer;
}

/** A run of absent blocks of a file, in units of `BLOCK_SIZE`. */
export interface Hole {
  start: bigint;
  count: bigint;
}

/** The unit of holes, and the block size of every file system that is made here. */
export const BLOCK_SIZE = 4096;
export const BLOCK_SIZE_BIG = 4096n;

/** What every inode has. */
export interface Metadata {
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  mode: number;
  uid: number;
  gid: number;
  /** Nanoseconds since 1970, negative before. */
  mtime: bigint;
  /** Inode flags (FS_IOC_GETFLAGS), only those in `PRESERVED_FLAGS`. */
  flags: number;
  /** Sorted by name. */
  xattrs: readonly Xattr[];
}

/** What every inode but a directory has: it may have more than one name. */
export interface Linkable extends Metadata {
  /** The other paths of this inode, sorted; all of them sort after the entry's own. */
  names: readonly Buffer[];
}

export interface FileEntry extends Linkable {
  type: 'file';
  path: Buffer;
  size: bigint;
  /** Sorted, apart from each other, within the blocks of the file. */
  holes: readonly Hole[];
  /** SHA-512 of the data (holes left out), or null when there is no data. */
  digest: Buffer | null;
}

export interface DirectoryEntry extends Metadata {
  type: 'directory';
  path: Buffer;
}

export interface SymlinkEntry extends Linkable {
  type: 'symlink';
  path: Buffer;
  target: Buffer;
}

export interface DeviceEntry extends Linkable {
  type: 'character' | 'block';
  path: Buffer;
  major: number;
  minor: number;
}

export interface PipeEntry extends Linkable {
  type: 'fifo' | 'socket';
  path: Buffer;
}

/** A further name of an inode whose entry stands at `target`, its first path. */
export interface LinkEntry {
  type: 'link';
  path: Buffer;
  target: Buffer;
}

export type InodeEntry = FileEntry | DirectoryEntry | SymlinkEntry | DeviceEntry | PipeEntry;
export type LinkableEntry = Exclude<InodeEntry, DirectoryEntry>;
export type Entry = InodeEntry | LinkEntry;
export type EntryType = Entry['type'];

/** Inode flags as the kernel numbers them (linux/fs.h, FS_*_FL). */
export const INODE_FLAGS = {
  sync: 0x8,
  immutable: 0x10,
  append: 0x20,
  nodump: 0x40,
  noatime: 0x80,
  dirsync: 0x10000,
} as const;

/** Flags that keep an inode, or the names of a directory, from being changed. */
export const BLOCKING_FLAGS = INODE_FLAGS.immutable | INODE_FLAGS.append;

/** The flags that belong to content; the others describe how a file system keeps the inode. */
export const PRESERVED_FLAGS = Object.values(INODE_FLAGS).reduce((all, flag) => all | flag, 0);

/** The mode that every symbolic link has on Linux. */
export const SYMLINK_MODE = 0o777;

/** Says what keeps an inode of that type from having preserved flags, or undefined if nothing does. */
export function flagsFault(type: EntryType, flags: number): string | undefined {
  if (flags === 0 || type === 'directory') return undefined;
  if (type !== 'file') return 'has inode flags, which Linux keeps on files and directories only';
  if ((flags & INODE_FLAGS.dirsync) === 0) return undefined;
  return 'has the inode flag dirsync, which Linux keeps on directories only';
}

/** How many blocks the size of a file spans. */
export function blocksOf(size: bigint): bigint {
  return (size + BLOCK_SIZE_BIG - 1n) / BLOCK_SIZE_BIG;
}

/** A run of data of a file, in bytes. */
export interface Segment {
  offset: bigint;
  length: bigint;
}

/** The data segments of a file in order: all that is not a hole, cut at the end of the file. */
export function segmentsOf(size: bigint, holes: readonly Hole[]): Segment[] {
  const segments: Segment[] = [];
  let at = 0n;
  for (const hole of holes) {
    const start = hole.start * BLOCK_SIZE_BIG;
    if (start > at) segments.push({ offset: at, length: start - at });
    at = start + hole.count * BLOCK_SIZE_BIG;
  }
  if (size > at) segments.push({ offset: at, length: size - at });
  return segments;
}

/** How many bytes of a file are data. */
export function dataSizeOf(size: bigint, holes: readonly Hole[]): bigint {
  return segmentsOf(size, holes).reduce((sum, segment) => sum + segment.length, 0n);
}

/**
 * The holes of a file whose source says that the byte ranges `segments` (sorted) are present and
 * nothing else is: the maximal runs of whole, aligned blocks that touch no segment. The last block
 * counts as whole though the file may end within it.
 */
export function holesBetween(size: bigint, segments: readonly Segment[]): Hole[] {
  const holes: Hole[] = [];
  let next = 0n;
  const upTo = (end: bigint): void => {
    if (end > next) holes.push({ start: next, count: end - next });
  };
  for (const { offset, length } of segments) {
    if (length <= 0n || offset >= size) continue;
    upTo(offset / BLOCK_SIZE_BIG);
    const end = blocksOf(offset + length < size ? offset + length : size);
    if (end > next) next = end;
  }
  upTo(blocksOf(size));
  return holes;
}
