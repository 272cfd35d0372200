import { DISK_BLOCK_SIZE } from '../../image/disk-map.js';
import { BLOCK_SIZE } from '../../image/entry.js';
import type { Run } from '../ext4/block-reader.js';
import type { DiskPart } from './disk-part.js';

const BLOCKS_PER_DISK_BLOCK = DISK_BLOCK_SIZE / BLOCK_SIZE;

/** A block of the disk of which something is to be captured, and the parts that are. */
export interface DiskBlock {
  index: number;
  /** Where the first part begins in it, in bytes. */
  offset: number;
  parts: DiskPart[];
}

/** From the first part of a block of the disk to the end of the last. */
export type DiskRun = Run<DiskBlock>;

/** One run for each block of the disk that has parts. */
export function* blockRuns(parts: Iterable<DiskPart>): Generator<DiskRun, void, undefined> {
  let current: DiskRun | undefined;
  for (const part of parts) {
    const end = part.start + part.count;
    for (let start = part.start; start < end;) {
      const index = Math.floor(start / BLOCKS_PER_DISK_BLOCK);
      const cut = Math.min(end, (index + 1) * BLOCKS_PER_DISK_BLOCK);
      if (current?.of.index !== index) {
        if (current !== undefined) yield current;
        const offset = (start - index * BLOCKS_PER_DISK_BLOCK) * BLOCK_SIZE;
        current = { block: start, count: 0, of: { index, offset, parts: [] } };
      }
      current.count = cut - current.block;
      current.of.parts.push({ ...part, start, count: cut - start });
      start = cut;
    }
  }
  if (current !== undefined) yield current;
}

/** Cleans the parts of a block of the disk, and zeroes what lies between them. */
export function cleanParts(run: DiskRun, data: Buffer): void {
  let next = run.block;
  for (const { start, count, clean } of run.of.parts) {
    data.fill(0, (next - run.block) * BLOCK_SIZE, (start - run.block) * BLOCK_SIZE);
    next = start + count;
    if (clean === undefined) continue;
    for (let number = start; number < next; number++) {
      const at = (number - run.block) * BLOCK_SIZE;
      clean(data.subarray(at, at + BLOCK_SIZE), number);
    }
  }
}
