import { BLOCK_SIZE } from '../../image/entry.js';
import type { BlockUse } from '../ext4/block-use-table.js';
import { cleanDirectoryBlock, decodeDirectoryBlock } from '../ext4/directory.js';
import { cleanExtentBlock } from '../ext4/extent.js';
import { descriptorsAfter } from '../ext4/group.js';
import type { InodesInUse } from '../ext4/inode-table.js';
import { cleanSuperblock, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE } from '../ext4/superblock.js';
import type { Ext4Volume } from '../ext4/volume.js';
import { cleanXattrBlock, decodeXattrBlock } from '../ext4/xattr.js';
import { cleanInodeTableBlock } from './clean-inode-table.js';
import { cleanJournalSuperblock } from './clean-journal.js';

/**
 * Zeroes what block `number` holds beyond its use: slack, deleted names, data behind the end of a file.
 * Checksums stay right; what is not sound in the first place throws `VOLUME_DAMAGED`.
 */
export function cleanBlock(
  volume: Ext4Volume,
  inUse: InodesInUse,
  use: BlockUse,
  number: number,
  block: Buffer,
): void {
  const { superblock } = volume;
  switch (use.kind) {
    case 'superblock':
      cleanSuperblockBlock(block, use.of === 0 ? SUPERBLOCK_OFFSET : 0);
      return;
    case 'descriptors':
      cleanDescriptors(volume, use, number, block);
      return;
    case 'inode-bitmap':
      // Behind the last inode all bits are ones, as the kernel and e2fsck want them.
      block.fill(0xff, superblock.inodesPerGroup / 8);
      return;
    case 'inode-table':
      cleanInodeTableBlock(volume, inUse, use.of, number, block);
      return;
    case 'directory':
    case 'indexed':
    case 'indexed-root':
      decodeDirectoryBlock(block, use.kind, use.of);
      cleanDirectoryBlock(block, use.kind, use.of);
      return;
    case 'extent-node':
      cleanExtentBlock(block, use.of);
      return;
    case 'xattrs':
      decodeXattrBlock(block, number, superblock.seed);
      cleanXattrBlock(block, number, superblock.seed);
      return;
    case 'journal':
      cleanJournalSuperblock(block);
      return;
    case 'tail':
      block.fill(0, use.of);
      return;
    case 'zero':
      block.fill(0);
      return;
    case 'block-bitmap':
    case 'pointers':
    case 'data':
      return;
  }
}

function cleanSuperblockBlock(block: Buffer, offset: number): void {
  const superblock = block.subarray(offset, offset + SUPERBLOCK_SIZE);
  cleanSuperblock(superblock);
  block.fill(0, 0, offset);
  block.fill(0, offset + SUPERBLOCK_SIZE);
}

function cleanDescriptors({ superblock }: Ext4Volume, use: BlockUse, number: number, block: Buffer): void {
  const first = descriptorsAfter(use.of * superblock.blocksPerGroup);
  const used = superblock.groups * superblock.descriptorSize - (number - first) * BLOCK_SIZE;
  if (used < BLOCK_SIZE) block.fill(0, used);
}
