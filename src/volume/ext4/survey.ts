import { readMap, shallowMap, type BlockMap } from './block-map.js';
import { BlockUsage } from './block-usage.js';
import type { BlockUseTable } from './block-use-table.js';
import { damaged, reportDamage } from './damage.js';
import { decodeInode, hasBlocks, RESIZE_INODE, type Inode } from './inode.js';
import { readInodesInUse, scanInodes, type InodesInUse, type StoredInode } from './inode-table.js';
import type { Ext4Volume } from './volume.js';

/** What is in use on a volume. */
export interface Survey {
  inUse: InodesInUse;
  /** Sorted, apart from each other. */
  uses: BlockUseTable;
}

/**
 * Hears of every inode in use. `deepMap` is there if the inode itself does not hold all of its map. The
 * stored bytes are lent.
 */
export type InodeVisitor = (stored: StoredInode, inode: Inode, deepMap: BlockMap | undefined) => void;

/**
 * Reads all inodes in use and where their blocks are, and compares that with the bitmaps. Faults go to the
 * volume's reporter; an inode that cannot be understood is reported and left out.
 */
export async function surveyVolume(
  volume: Ext4Volume,
  visit: InodeVisitor = () => undefined,
): Promise<Survey> {
  const inUse = await readInodesInUse(volume);
  const usage = new BlockUsage(volume);
  for await (const inodes of scanInodes(volume, inUse)) {
    for (const stored of inodes) {
      try {
        const inode = checkedInode(volume, stored);
        const shallow = hasBlocks(inode) ? shallowMap(volume, inode) : NOTHING;
        const deep = shallow === undefined ? await readMap(volume, inode) : undefined;
        usage.addInode(inode, shallow ?? deep);
        visit(stored, inode, deep);
      } catch (error) {
        reportDamage(volume.report, stored.number, error);
      }
    }
  }
  return { inUse, uses: await usage.finish() };
}

const NOTHING: BlockMap = { extents: [], nodes: [] };

function checkedInode({ superblock }: Ext4Volume, { number, bytes }: StoredInode): Inode {
  const inode = decodeInode(bytes, number, superblock.seed);
  const reserved = number < superblock.firstInode;
  if (inode.type === undefined && !(reserved && inode.block.every(byte => byte === 0))) {
    throw damaged('an inode in use is of no type');
  }
  if (inode.type !== undefined && (inode.deleted || inode.links === 0)) {
    throw damaged('an inode in use is marked as deleted');
  }
  if ((number === RESIZE_INODE || number === superblock.journalInode) && inode.type === 'directory') {
    throw damaged('a reserved inode is a directory');
  }
  return inode;
}
