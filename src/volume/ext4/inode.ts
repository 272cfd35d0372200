import { BLOCK_SIZE } from '../../image/entry.js';
import { crc32c, crc32cOfUint32 } from './crc32c.js';
import { damaged } from './damage.js';

/*
 * An inode (Linux documentation, filesystems/ext4/inodes.rst):
 *
 *   0x00 mode u16             0x02 uid, low u16          0x04 size, low u32       0x10 mtime s32
 *   0x14 deletion time u32    0x18 gid, low u16          0x1A links u16           0x20 flags u32
 *   0x28 block map 60 bytes   0x64 generation u32        0x68 xattr block low     0x6C size, high u32
 *   0x76 xattr block high u16 0x78 uid, high u16         0x7A gid, high u16       0x7C checksum, low u16
 *   0x80 size of the extra fields u16 (from 0x80 on)     0x82 checksum, high u16  0x88 mtime, extra u32
 *
 * Behind the extra fields stand extended attributes. Extra bits of a time: two bits that extend the
 * seconds, then thirty of nanoseconds.
 */

export const INODE_BASE_SIZE = 128;
export const BLOCK_MAP_OFFSET = 0x28;
export const BLOCK_MAP_SIZE = 60;
const CHECKSUM_LOW = 0x7c;
const CHECKSUM_HIGH = 0x82;
const MTIME_EXTRA = 0x88;
/** Blocks of a file are numbered by 32 bits. */
const MAX_SIZE = 2 ** 32 * BLOCK_SIZE;

export const ROOT_INODE = 2;
export const RESIZE_INODE = 7;

export const FLAG_INDEX = 0x1000;
export const FLAG_EXTENTS = 0x80000;
export const FLAG_VALUE = 0x200000;
/** Flags under which content is kept in a way that is not read here: compressed, encrypted, inline … */
const FOREIGN_FLAGS = 0x4 | 0x800 | 0x100000 | 0x10000000 | 0x40000000;

export type InodeType = 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo' | 'socket';

const TYPES: Readonly<Record<number, InodeType>> = {
  0x1: 'fifo',
  0x2: 'character',
  0x4: 'directory',
  0x6: 'block',
  0x8: 'file',
  0xa: 'symlink',
  0xc: 'socket',
};

/** An inode as it is stored. `block` and `xattrs` are parts of the bytes that it was decoded from. */
export interface Inode {
  number: number;
  /** Undefined for a reserved inode that holds nothing. */
  type: InodeType | undefined;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  /** Nanoseconds since 1970. */
  mtime: bigint;
  flags: number;
  links: number;
  deleted: boolean;
  /** The block of extended attributes, 0 if there is none. */
  xattrBlock: number;
  /** The 60 bytes that map blocks, or hold a short symlink's target or a device number. */
  block: Buffer;
  /** What is behind the extra fields: extended attributes, if any. */
  xattrs: Buffer;
  /** Where checksums of this inode and of its blocks start from. */
  seed: number;
}

/** The type of an inode, as `decodeInode` has it. */
export function typeOfInode(bytes: Buffer): InodeType | undefined {
  return TYPES[bytes.readUInt16LE(0) >>> 12];
}

/** Decodes an inode, without its checksum. Throws `VOLUME_DAMAGED` for values that cannot be. */
export function decodeInode(bytes: Buffer, number: number, volumeSeed: number): Inode {
  const mode = bytes.readUInt16LE(0);
  const type = typeOfInode(bytes);
  if (type === undefined && mode !== 0) throw damaged(`mode ${mode.toString(8)} is of no type`);
  const flags = bytes.readUInt32LE(0x20);
  if ((flags & FOREIGN_FLAGS) !== 0)
    throw damaged(`flags 0x${flags.toString(16)} belong to missing features`);
  const size = bytes.readUInt32LE(4) + bytes.readUInt32LE(0x6c) * 2 ** 32;
  if (size > MAX_SIZE) throw damaged('the size is beyond what can be mapped');
  return {
    number,
    type,
    mode: mode & 0o7777,
    uid: bytes.readUInt16LE(2) + bytes.readUInt16LE(0x78) * 2 ** 16,
    gid: bytes.readUInt16LE(0x18) + bytes.readUInt16LE(0x7a) * 2 ** 16,
    size,
    mtime: decodeMtime(bytes),
    flags,
    links: bytes.readUInt16LE(0x1a),
    deleted: bytes.readUInt32LE(0x14) !== 0,
    xattrBlock: bytes.readUInt32LE(0x68) + bytes.readUInt16LE(0x76) * 2 ** 32,
    block: bytes.subarray(BLOCK_MAP_OFFSET, BLOCK_MAP_OFFSET + BLOCK_MAP_SIZE),
    xattrs: bytes.subarray(INODE_BASE_SIZE + extraSize(bytes)),
    seed: inodeSeed(bytes, number, volumeSeed),
  };
}

function decodeMtime(bytes: Buffer): bigint {
  const seconds = BigInt(bytes.readInt32LE(0x10));
  if (INODE_BASE_SIZE + extraSize(bytes) < MTIME_EXTRA + 4) return seconds * 1_000_000_000n;
  const extra = bytes.readUInt32LE(MTIME_EXTRA);
  const nanoseconds = extra >>> 2;
  if (nanoseconds >= 1_000_000_000) throw damaged('the modification time has too many nanoseconds');
  return (seconds + BigInt(extra & 3) * 2n ** 32n) * 1_000_000_000n + BigInt(nanoseconds);
}

/** How many bytes of extra fields the inode has. Throws `VOLUME_DAMAGED` if they do not fit in it. */
export function extraSize(bytes: Buffer): number {
  const size = bytes.readUInt16LE(INODE_BASE_SIZE);
  if (size % 4 !== 0 || size > bytes.length - INODE_BASE_SIZE) {
    throw damaged(`extra fields of ${String(size)} bytes do not fit`);
  }
  return size;
}

/** Whether the target of a symlink stands in the inode itself. */
export function isFastSymlink(inode: Inode): boolean {
  return inode.type === 'symlink' && inode.size < BLOCK_MAP_SIZE && (inode.flags & FLAG_EXTENTS) === 0;
}

/** Whether the inode has blocks of its own. */
export function hasBlocks(inode: Inode): boolean {
  return (
    inode.type === 'file' || inode.type === 'directory' || (inode.type === 'symlink' && !isFastSymlink(inode))
  );
}

function inodeSeed(bytes: Buffer, number: number, volumeSeed: number): number {
  return crc32cOfUint32(crc32cOfUint32(volumeSeed, number), bytes.readUInt32LE(0x64));
}

/** Whether the inode matches its checksum. One that is zero throughout has none and matches. */
export function inodeMatches(bytes: Buffer, number: number, volumeSeed: number): boolean {
  const crc = inodeChecksum(bytes, inodeSeed(bytes, number, volumeSeed));
  const matches =
    bytes.readUInt16LE(CHECKSUM_LOW) === (crc & 0xffff) &&
    (!hasHighChecksum(bytes) || bytes.readUInt16LE(CHECKSUM_HIGH) === crc >>> 16);
  return matches || bytes.every(byte => byte === 0);
}

/** Makes the checksum of an inode that was changed right. */
export function renewInodeChecksum(bytes: Buffer, number: number, volumeSeed: number): void {
  const crc = inodeChecksum(bytes, inodeSeed(bytes, number, volumeSeed));
  bytes.writeUInt16LE(crc & 0xffff, CHECKSUM_LOW);
  if (hasHighChecksum(bytes)) bytes.writeUInt16LE(crc >>> 16, CHECKSUM_HIGH);
}

function hasHighChecksum(bytes: Buffer): boolean {
  return bytes.readUInt16LE(INODE_BASE_SIZE) >= CHECKSUM_HIGH + 2 - INODE_BASE_SIZE;
}

const NO_CHECKSUM = Buffer.alloc(2);

function inodeChecksum(bytes: Buffer, seed: number): number {
  let crc = crc32c(seed, bytes, 0, CHECKSUM_LOW);
  crc = crc32c(crc, NO_CHECKSUM);
  if (!hasHighChecksum(bytes)) return crc32c(crc, bytes, CHECKSUM_LOW + 2);
  crc = crc32c(crc, bytes, CHECKSUM_LOW + 2, CHECKSUM_HIGH);
  crc = crc32c(crc, NO_CHECKSUM);
  return crc32c(crc, bytes, CHECKSUM_HIGH + 2);
}

/** The device number of a device inode: the old form in 16 bits, or the new in 32 (linux/kdev_t.h). */
export function deviceNumber(inode: Inode): { major: number; minor: number } {
  const old = inode.block.readUInt32LE(0);
  if (old !== 0) return { major: (old >>> 8) & 0xff, minor: old & 0xff };
  const wide = inode.block.readUInt32LE(4);
  return { major: (wide >>> 8) & 0xfff, minor: (wide & 0xff) | ((wide >>> 12) & 0xfff00) };
}
