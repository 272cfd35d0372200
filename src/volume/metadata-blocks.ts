import type { Entry, FileEntry, Xattr } from '../image/entry.js';
import { blocksOf, segmentsOf } from '../image/entry.js';
import { fitInode } from '../image/ext4-xattrs.js';

/*
 * What ext4 takes beside the blocks of data: a block for attributes that do not fit in an inode, which up to 1024
 * inodes share whose attributes are the same, and blocks of extents for a file in more than four pieces.
 */

const SHARING_INODES = 1024;
/** What an extent can span, and how many of them an inode and a block hold. */
const EXTENT_BLOCKS = 32_768n;
const EXTENTS_OF_INODE = 4;
const EXTENTS_OF_BLOCK = 340;

/** How many blocks directories, attributes and extents of some entries take at least. */
export function metadataBlocks(entries: Iterable<Entry | undefined>): bigint {
  let blocks = 0;
  const shared = new Map<string, number>();
  for (const entry of entries) {
    if (entry === undefined || entry.type === 'link') continue;
    if (entry.type === 'directory') blocks++;
    else if (entry.type === 'file') blocks += extentBlocks(entry);
    if (fitInode(entry.xattrs)) continue;
    const key = keyOf(entry.xattrs);
    const users = shared.get(key) ?? 0;
    if (users % SHARING_INODES === 0) blocks++;
    shared.set(key, users + 1);
  }
  return BigInt(blocks);
}

function extentBlocks({ size, holes }: FileEntry): number {
  let extents = 0;
  for (const { length } of segmentsOf(size, holes)) {
    extents += Number((blocksOf(length) + EXTENT_BLOCKS - 1n) / EXTENT_BLOCKS);
  }
  let blocks = 0;
  for (let nodes = extents; nodes > EXTENTS_OF_INODE;) {
    nodes = Math.ceil(nodes / EXTENTS_OF_BLOCK);
    blocks += nodes;
  }
  return blocks;
}

function keyOf(xattrs: readonly Xattr[]): string {
  const parts = xattrs.flatMap(({ name, value }) => [name, value]);
  return parts.map(part => `${String(part.length)}:${part.toString('latin1')}`).join('');
}
