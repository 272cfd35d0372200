import { ImageUnpackerError } from '../image/error.js';
import type { Change } from '../image/plan.js';
import type { BlockDevice } from './device.js';
import type { Superblock } from './superblock.js';

/*
 * An inode in use that has no name is seen by nobody who walks the tree. But the file system counts its inodes, and
 * after an unmount in order that number must be what the tree has.
 */

/** In use beside what has a name in the tree: the reserved ones, of which the root counts as one of the tree, and lost+found. */
const OTHER_INODES = 10;

/** How many inodes the superblock says are in use. */
export function inodesInUse({ inodes, freeInodes }: Superblock): number {
  return inodes - freeInodes;
}

/** How many are in use when a tree has so many, its root included, and nothing is wrong. */
export function inodesWith(inTree: number): number {
  return inTree + OTHER_INODES;
}

/** How many inodes one side of changes has. */
export function countInodes(changes: readonly Change[], side: 'have' | 'want'): number {
  return changes.filter(change => change[side] !== undefined && change[side].type !== 'link').length;
}

/** How many more inodes a tree has after changes. */
export function inodesMore(changes: readonly Change[]): number {
  return countInodes(changes, 'want') - countInodes(changes, 'have');
}

/**
 * Checks that so many inodes are in use, unless values of attributes may be inodes as well. Throws `VOLUME_DAMAGED`:
 * some are that have no name, or the other way round.
 */
export function requireInodes(device: BlockDevice, superblock: Superblock, expected: number): void {
  const inodes = inodesInUse(superblock);
  if (inodes === expected || superblock.limits.valuesInInodes) return;
  throw new ImageUnpackerError(
    'VOLUME_DAMAGED',
    `The file system on ${device.path} has ${String(inodes)} inodes in use where its tree takes ${String(expected)}; run apply again to repair it`,
    { device: device.path, inodes },
  );
}

/** Whether an error is of `requireInodes`. */
export function isInodesAstray(reason: unknown): boolean {
  return reason instanceof ImageUnpackerError && reason.subject.inodes !== undefined;
}
