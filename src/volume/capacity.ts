import { BLOCK_SIZE_BIG } from '../image/entry.js';
import { ImageUnpackerError } from '../image/error.js';
import type { ManifestIndex } from '../image/manifest.js';
import type { Change } from '../image/plan.js';
import { inodesMore } from './inode-count.js';
import type { FileSystemShape } from './make-file-system.js';
import { fileSystemShape, overheadOf } from './make-file-system.js';
import { metadataBlocks } from './metadata-blocks.js';
import type { Superblock } from './superblock.js';

/** Names in a block of a directory, as it usually is, beside the first block that each has. */
const NAMES_PER_BLOCK = 64;
/** What is kept free for what cannot be foreseen exactly: files in more pieces than need be, the staging directory. */
const MARGIN_BLOCKS = 64n;
const MIB = 1n << 20n;

/** What there is for a file system: the name of its device, and bytes. */
export interface Space {
  path: string;
  size: bigint;
}

/**
 * The shape of a file system for an image on a device; `changes` have all of its entries. Throws `DEVICE_TOO_SMALL`,
 * saying how much is needed, when the image does not fit.
 */
export function shapeFor(device: Space, index: ManifestIndex, changes: readonly Change[]): FileSystemShape {
  const content = contentBytes(index, changes);
  const fits = (size: bigint): boolean =>
    content + overheadOf(size, fileSystemShape(size, index.entries)) <= size;
  if (fits(device.size)) return fileSystemShape(device.size, index.entries);
  let needed = (content / MIB + 1n) * MIB;
  while (!fits(needed)) needed += MIB + needed / 256n;
  throw tooSmall(device, (needed / MIB + 1n) * MIB, device.size);
}

/** About how many bytes the content of an image takes on a file system. */
function contentBytes(index: ManifestIndex, changes: readonly Change[]): bigint {
  const names = BigInt(Math.ceil(index.entries / NAMES_PER_BLOCK)) * 2n;
  const metadata = metadataBlocks(changes.map(({ want }) => want));
  return (index.blocks + names + metadata + MARGIN_BLOCKS) * BLOCK_SIZE_BIG;
}

/** Throws `DEVICE_TOO_SMALL` unless a file system has room for what changes make of it. */
export function checkRoom(
  device: Space,
  superblock: Superblock,
  have: ManifestIndex,
  want: ManifestIndex,
  changes: readonly Change[],
): void {
  const before = metadataBlocks(changes.map(change => change.have));
  const metadata = metadataBlocks(changes.map(change => change.want)) - before;
  const more = want.blocks - have.blocks + (metadata > 0n ? metadata : 0n) + MARGIN_BLOCKS;
  if (more > superblock.freeBlocks) {
    const missing = (more - superblock.freeBlocks) * BLOCK_SIZE_BIG;
    throw tooSmall(device, device.size + missing + missing / 32n, device.size);
  }
  const inodes = inodesMore(changes);
  if (inodes > superblock.freeInodes) {
    const { path } = device;
    throw new ImageUnpackerError(
      'DEVICE_TOO_SMALL',
      `The file system on ${path} has ${String(superblock.freeInodes)} inodes left and the image takes ${String(inodes)} more; use a new volume for it`,
      { device: path, needed: inodes, available: superblock.freeInodes },
    );
  }
}

function tooSmall(device: Space, needed: bigint, available: bigint): ImageUnpackerError {
  return new ImageUnpackerError(
    'DEVICE_TOO_SMALL',
    `${device.path} is too small for the image: it has ${String(available)} bytes, and at least ${String(needed)} are needed`,
    { device: device.path, needed: Number(needed), available: Number(available) },
  );
}
