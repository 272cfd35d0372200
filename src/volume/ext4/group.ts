import { BLOCK_SIZE } from '../../image/entry.js';
import { crc32c, crc32cOfUint32 } from './crc32c.js';
import { damaged, type Report } from './damage.js';
import type { Superblock } from './superblock.js';

/*
 * A group descriptor, 32 or 64 bytes (Linux documentation, filesystems/ext4/group_descr.rst):
 *
 *   0x00 block bitmap, low u32     0x04 inode bitmap, low u32     0x08 inode table, low u32
 *   0x12 flags u16                 0x18 block bitmap checksum     0x1A inode bitmap checksum
 *   0x1C unused inodes, low u16    0x1E checksum u16              0x20, 0x24, 0x28 high halves
 *   0x32 unused inodes, high u16   0x38, 0x3A bitmap checksums, high halves
 */

const INODE_UNINIT = 0x1;
const BLOCK_UNINIT = 0x2;
const CHECKSUM_OFFSET = 0x1e;
const DESCRIPTOR_BLOCK = 1;

/** Where the metadata of a group of blocks is. Positions are block numbers, checked to be in range. */
export interface Group {
  index: number;
  blockBitmap: number;
  inodeBitmap: number;
  inodeTable: number;
  /** Whether the block bitmap was never written: only metadata is in use in the group. */
  blocksUninitialised: boolean;
  /** Inodes from the start of the group that were ever in use; all after them are unused. */
  initialisedInodes: number;
  blockBitmapChecksum: number;
  inodeBitmapChecksum: number;
}

/** Decodes the table of group descriptors. Reports checksums that do not match; throws `VOLUME_DAMAGED`. */
export function decodeGroups(table: Buffer, superblock: Superblock, report: Report): Group[] {
  const size = superblock.descriptorSize;
  return Array.from({ length: superblock.groups }, (_, index) => {
    const bytes = table.subarray(index * size, (index + 1) * size);
    if (descriptorChecksum(bytes, index, superblock.seed) !== bytes.readUInt16LE(CHECKSUM_OFFSET)) {
      report(`the descriptor of group ${String(index)} does not match its checksum`);
    }
    return checkGroup(decodeGroup(bytes, index, superblock), superblock);
  });
}

function decodeGroup(bytes: Buffer, index: number, superblock: Superblock): Group {
  const wide = superblock.descriptorSize === 64;
  const wide32 = (low: number): number =>
    bytes.readUInt32LE(low) + (wide ? bytes.readUInt32LE(low + 0x20) * 2 ** 32 : 0);
  const wide16 = (low: number, high: number): number =>
    bytes.readUInt16LE(low) + (wide ? bytes.readUInt16LE(high) * 2 ** 16 : 0);
  const flags = bytes.readUInt16LE(0x12);
  const unused = wide16(0x1c, 0x32);
  if (unused > superblock.inodesPerGroup) {
    throw damaged(`group ${String(index)} has more unused inodes than inodes`);
  }
  return {
    index,
    blockBitmap: wide32(0),
    inodeBitmap: wide32(4),
    inodeTable: wide32(8),
    blocksUninitialised: (flags & BLOCK_UNINIT) !== 0,
    initialisedInodes: flags & INODE_UNINIT ? 0 : superblock.inodesPerGroup - unused,
    blockBitmapChecksum: wide16(0x18, 0x38),
    inodeBitmapChecksum: wide16(0x1a, 0x3a),
  };
}

function checkGroup(group: Group, superblock: Superblock): Group {
  const within = (block: number, count: number): boolean => block > 0 && block + count <= superblock.blocks;
  const sound =
    within(group.blockBitmap, 1) &&
    within(group.inodeBitmap, 1) &&
    within(group.inodeTable, inodeTableBlocks(superblock));
  if (!sound) throw damaged(`the metadata of group ${String(group.index)} is said to be outside the device`);
  return group;
}

function descriptorChecksum(bytes: Buffer, index: number, seed: number): number {
  let crc = crc32cOfUint32(seed, index);
  crc = crc32c(crc, bytes, 0, CHECKSUM_OFFSET);
  crc = crc32c(crc, Buffer.alloc(2));
  return crc32c(crc, bytes, CHECKSUM_OFFSET + 2) & 0xffff;
}

/** Whether the bitmap block `bytes`, of which `bits` bits count, matches the checksum in a descriptor. */
export function bitmapMatches(
  bytes: Buffer,
  bits: number,
  checksum: number,
  superblock: Superblock,
): boolean {
  const crc = crc32c(superblock.seed, bytes, 0, bits / 8);
  return (superblock.descriptorSize === 64 ? crc : crc & 0xffff) === checksum;
}

/** Blocks of the inode table of a group. */
export function inodeTableBlocks(superblock: Superblock): number {
  return (superblock.inodesPerGroup * superblock.inodeSize) / BLOCK_SIZE;
}

/** The first block of the descriptors behind the superblock of the group that starts at `start`. */
export function descriptorsAfter(start: number): number {
  return start + DESCRIPTOR_BLOCK;
}

/** Whether a group holds a copy of the superblock and the descriptors. */
export function hasSuperblock(group: number, superblock: Superblock): boolean {
  if (!superblock.sparseSuper || group <= 1) return true;
  return [3, 5, 7].some(base => {
    let power = base;
    while (power < group) power *= base;
    return power === group;
  });
}
