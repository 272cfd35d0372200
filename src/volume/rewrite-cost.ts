import type { FileEntry } from '../image/entry.js';
import { BLOCK_SIZE_BIG, blocksOf } from '../image/entry.js';
import type { FilePair } from '../image/inode-match.js';
import { SNAPSHOT_BLOCK_BYTES } from './written-blocks.js';

/*
 * What it costs to rewrite files in place or to make them anew, in blocks of a snapshot. Functions of their
 * arguments.
 */

/** Where data lies on a device, in bytes. */
export interface DeviceRange {
  start: bigint;
  length: bigint;
}

const SNAPSHOT_BLOCK = BigInt(SNAPSHOT_BLOCK_BYTES);
/** Smaller files cost less made anew, packed together with others, than a block of a snapshot each. */
const LARGE_BYTES = SNAPSHOT_BLOCK;
/** Blocks of a file lie across those of a snapshot: rewriting touches some more than it changes. */
const MOST_REWRITTEN = 0.8;
/** What making the first inode of a plan costs: the bitmaps of inodes and of blocks, and a new inode's own block. */
const FIRST_INODE_BLOCKS = 2;

/** Whether how much of a file changes must be known to tell what is cheaper. */
export function isLarge({ have, want }: FilePair): boolean {
  if (have.size >= LARGE_BYTES && want.size >= LARGE_BYTES) return true;
  // Files of one size whose holes differ are often the same otherwise.
  return have.size === want.size && (have.holes.length > 0 || want.holes.length > 0);
}

/** Whether a large file of which so many clusters of 512 KiB change is better rewritten in place. */
export function isCheaperInPlace(changedClusters: number, { size }: FileEntry): boolean {
  if (changedClusters === 0) return true;
  return changedClusters + 1 < (Number(size) / SNAPSHOT_BLOCK_BYTES) * MOST_REWRITTEN;
}

/** Whether a small file can be rewritten without taking or giving back a block. */
export function keepsItsBlocks({ have, want }: FilePair): boolean {
  return (
    have.holes.length === 0 &&
    want.holes.length === 0 &&
    have.size > 0n &&
    blocksOf(have.size) === blocksOf(want.size)
  );
}

/** What is known of small files that all could be rewritten in place. */
export interface SmallFiles {
  files: readonly FileEntry[];
  /** How many blocks of a snapshot their data touches. */
  data: number;
  /** How many are touched only if their names come to stand for other inodes. */
  directories: number;
  /** Whether other names change all the same. */
  others: boolean;
}

/**
 * Whether all of some small files are better rewritten in place. Few that lie close together are: anew they
 * change directories and bitmaps too. Many are not: they lie all over the volume, and anew they lie together.
 */
export function areCheaperInPlace({ files, data, directories, others }: SmallFiles): boolean {
  const bytes = files.reduce((sum, { size }) => sum + blocksOf(size) * BLOCK_SIZE_BIG, 0n);
  const packed = Number((bytes + SNAPSHOT_BLOCK - 1n) / SNAPSHOT_BLOCK);
  return data < packed + directories + (others ? 0 : FIRST_INODE_BLOCKS);
}

/** The blocks of a snapshot that some ranges touch, by number. */
export function blocksTouched(ranges: readonly DeviceRange[]): Set<bigint> {
  const blocks = new Set<bigint>();
  for (const { start, length } of ranges) {
    for (let block = start / SNAPSHOT_BLOCK; block * SNAPSHOT_BLOCK < start + length; block++) {
      blocks.add(block);
    }
  }
  return blocks;
}
