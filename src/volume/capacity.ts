import { BLOCK_SIZE_BIG } from '../image/entry.js';
import { ImageUnpackerError } from '../image/error.js';
import type { ManifestIndex } from '../image/manifest.js';
import type { Change } from '../image/plan.js';
import type { FileSystemShape } from './make-file-system.js';
import { fileSystemShape, overheadOf } from './make-file-system.js';
import type { Superblock } from './superblock.js';

/** Names in a block of a directory, as it usually is; a directory has at least one block. */
const NAMES_PER_BLOCK = 64;
/** What is kept free for what cannot be foreseen exactly: extent blocks, attribute blocks, the staging directory. */
const MARGIN_BLOCKS = 64n;
const MIB = 1n << 20n;

/** What there is for a file system: the name of its device, and bytes. */
export interface Space {
  path: string;
  size: bigint;
}

/**
 * The shape of a file system for an image on a device. Throws `DEVICE_TOO_SMALL`, saying how much is needed,
 * when the image does not fit.
 */
export function shapeFor(device: Space, index: ManifestIndex): FileSystemShape {
  const content = contentBytes(index);
  const fits = (size: bigint): boolean =>
    content + overheadOf(size, fileSystemShape(size, index.entries)) <= size;
  if (fits(device.size)) return fileSystemShape(device.size, index.entries);
  let needed = (content / MIB + 1n) * MIB;
  while (!fits(needed)) needed += MIB + needed / 256n;
  throw tooSmall(device, (needed / MIB + 1n) * MIB, device.size);
}

/** At most so many bytes the content of an image takes on a file system; every entry may be a directory. */
function contentBytes(index: ManifestIndex): bigint {
  const directories = BigInt(Math.ceil(index.entries / NAMES_PER_BLOCK)) * 2n;
  return (index.blocks + directories + MARGIN_BLOCKS) * BLOCK_SIZE_BIG;
}

/** Throws `DEVICE_TOO_SMALL` unless a file system has room for what changes make of it. */
export function checkRoom(
  device: Space,
  superblock: Superblock,
  have: ManifestIndex,
  want: ManifestIndex,
  changes: readonly Change[],
): void {
  const directories = countOf(changes, 'want', 'directory') - countOf(changes, 'have', 'directory');
  const more = want.blocks - have.blocks + BigInt(Math.max(directories, 0)) + MARGIN_BLOCKS;
  if (more > superblock.freeBlocks) {
    const missing = (more - superblock.freeBlocks) * BLOCK_SIZE_BIG;
    throw tooSmall(device, device.size + missing + missing / 32n, device.size);
  }
  const inodes = countInodes(changes, 'want') - countInodes(changes, 'have');
  if (inodes > superblock.freeInodes) {
    const { path } = device;
    throw new ImageUnpackerError(
      'DEVICE_TOO_SMALL',
      `The file system on ${path} has ${String(superblock.freeInodes)} inodes left and the image takes ${String(inodes)} more; use a new volume for it`,
      { device: path, needed: inodes, available: superblock.freeInodes },
    );
  }
}

function countOf(changes: readonly Change[], side: 'have' | 'want', type: string): number {
  return changes.filter(change => change[side]?.type === type).length;
}

function countInodes(changes: readonly Change[], side: 'have' | 'want'): number {
  return changes.filter(change => change[side] !== undefined && change[side].type !== 'link').length;
}

function tooSmall(device: Space, needed: bigint, available: bigint): ImageUnpackerError {
  return new ImageUnpackerError(
    'DEVICE_TOO_SMALL',
    `${device.path} is too small for the image: it has ${String(available)} bytes, and at least ${String(needed)} are needed`,
    { device: device.path, needed: Number(needed), available: Number(available) },
  );
}
