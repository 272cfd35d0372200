import { BLOCK_SIZE } from '../../image/entry.js';
import { cleanExtentNode } from '../ext4/extent.js';
import {
  BLOCK_MAP_SIZE,
  decodeInode,
  FLAG_EXTENTS,
  hasBlocks,
  inodeMatches,
  isFastSymlink,
  renewInodeChecksum,
  type Inode,
} from '../ext4/inode.js';
import { bitAt, type InodesInUse } from '../ext4/inode-table.js';
import { damaged } from '../ext4/damage.js';
import type { Ext4Volume } from '../ext4/volume.js';
import { cleanBodyXattrs } from '../ext4/xattr.js';

/** Cleans the block `number` of the inode table of `group`: unused inodes become zeros throughout. */
export function cleanInodeTableBlock(
  volume: Ext4Volume,
  inUse: InodesInUse,
  group: number,
  number: number,
  block: Buffer,
): void {
  const { superblock, groups } = volume;
  const size = superblock.inodeSize;
  const perBlock = BLOCK_SIZE / size;
  const first = (number - groups[group]!.inodeTable) * perBlock;
  const bitmap = inUse.get(group);
  for (let at = 0; at < perBlock; at++) {
    const inode = block.subarray(at * size, (at + 1) * size);
    if (bitmap !== undefined && bitAt(bitmap, first + at)) {
      cleanInode(inode, group * superblock.inodesPerGroup + first + at + 1, superblock.seed);
    } else {
      inode.fill(0);
    }
  }
}

function cleanInode(bytes: Buffer, number: number, seed: number): void {
  if (!inodeMatches(bytes, number, seed)) {
    throw damaged(`inode ${String(number)}: the inode does not match its checksum`);
  }
  if (bytes.every(byte => byte === 0)) return;
  const inode = decodeInode(bytes, number, seed);
  cleanBlockMap(inode);
  cleanBodyXattrs(inode.xattrs);
  renewInodeChecksum(bytes, number, seed);
}

function cleanBlockMap(inode: Inode): void {
  if (isFastSymlink(inode)) inode.block.fill(0, inode.size);
  else if (inode.type === 'character' || inode.type === 'block') cleanDeviceNumber(inode.block);
  else if (!hasBlocks(inode)) inode.block.fill(0, 0, BLOCK_MAP_SIZE);
  else if ((inode.flags & FLAG_EXTENTS) !== 0) cleanExtentNode(inode.block);
}

/** A device number in the old form is in the first four bytes, else it is in the four after them. */
function cleanDeviceNumber(block: Buffer): void {
  block.fill(0, block.readUInt32LE(0) === 0 ? 8 : 4);
}
