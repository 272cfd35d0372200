import { createCipheriv, createHash } from 'node:crypto';
import type { DiskMap } from '../../src/image/disk-map.js';
import { DISK_BLOCK_SIZE } from '../../src/image/disk-map.js';

/* Disks whose blocks are made when they are asked for: the same each time, and no two alike. */

/** 2 GiB. */
export const BLOCKS = 4096;
/** 5 % of it. */
const CHANGED = 205;
const ZEROS = Buffer.alloc(DISK_BLOCK_SIZE);
const IV = Buffer.alloc(16);

/** The images of the benchmark, by leaf, with the seeds of their blocks that are not zeros. */
export const DISKS: Readonly<Record<string, ReadonlyMap<number, number>>> = {
  // What the next one has as a parent; what of it stays the same takes no part.
  before: seeds([0, 1, 2, 3], 1),
  after: new Map([...seeds([0, 1, 2, 3], 1), ...seeds(spread(CHANGED), 2)]),
  whole: seeds(spread(BLOCKS), 3),
  quarter: seeds(spread(BLOCKS / 4), 4),
};

function spread(count: number): number[] {
  return Array.from({ length: count }, (_, at) => Math.floor((at * BLOCKS) / count));
}

function seeds(numbers: readonly number[], seed: number): Map<number, number> {
  return new Map(numbers.map(number => [number, seed * BLOCKS + number]));
}

/** What a block with this seed holds. */
export function blockOf(seed: number): Buffer {
  const key = Buffer.alloc(16);
  key.writeUInt32LE(seed);
  return createCipheriv('aes-128-ctr', key, IV).update(ZEROS);
}

export function checksumOf(block: Buffer): Buffer {
  return createHash('sha256').update(block).digest();
}

/** What a disk holds. */
export function mapOf(disk: ReadonlyMap<number, number>): DiskMap {
  const present = Buffer.alloc(BLOCKS / 8);
  const digests = [...disk]
    .sort(([a], [b]) => a - b)
    .map(([number, seed]) => {
      present[number >>> 3]! |= 1 << (number & 7);
      return checksumOf(blockOf(seed));
    });
  return { size: BigInt(BLOCKS) * BigInt(DISK_BLOCK_SIZE), present, digests: Buffer.concat(digests) };
}
