import { BLOCK_SIZE } from '../../image/entry.js';
import { readRuns } from './block-reader.js';
import type { BlockKind, BlockUseTable } from './block-use-table.js';
import { bitmapMatches } from './group.js';
import type { Ext4Volume } from './volume.js';

/** What may stand in a group whose block bitmap was never written, because the kernel knows of it. */
const IN_UNINITIALISED_GROUPS: ReadonlySet<BlockKind> = new Set<BlockKind>([
  'superblock',
  'descriptors',
  'block-bitmap',
  'inode-bitmap',
  'inode-table',
  'zero',
]);

/**
 * Compares the block bitmaps with what the blocks are used for (sorted). Reports every group where they
 * differ, and bitmaps that do not match their checksums.
 */
export async function compareWithBitmaps(volume: Ext4Volume, uses: BlockUseTable): Promise<void> {
  const { superblock, groups, reader, report, signal } = volume;
  checkUninitialised(volume, uses);
  const runs = groups
    .filter(group => !group.blocksUninitialised)
    .map(group => ({ block: group.blockBitmap, count: 1, of: group }));
  const cursor = { at: 0 };
  for await (const pieces of readRuns(reader, runs, signal)) {
    for (const { run, data } of pieces) {
      const { index, blockBitmapChecksum } = run.of;
      const start = index * superblock.blocksPerGroup;
      const count = Math.min(superblock.blocksPerGroup, superblock.blocks - start);
      if (!bitmapMatches(data, superblock.blocksPerGroup, blockBitmapChecksum, superblock)) {
        report(`the block bitmap of group ${String(index)} does not match its checksum`);
      }
      const expected = bitmapOf(uses, start, count, cursor);
      const size = Math.floor(count / 8);
      if (expected.compare(data, 0, size, 0, size) !== 0 || differAfter(expected, data, size * 8, count)) {
        const block = start + firstDifference(expected, data);
        report(`the block bitmap of group ${String(index)} is wrong about block ${String(block)}`);
      }
    }
  }
}

function checkUninitialised({ superblock, groups, report }: Ext4Volume, uses: BlockUseTable): void {
  for (const { start, count, kind } of uses) {
    if (IN_UNINITIALISED_GROUPS.has(kind)) continue;
    const last = Math.floor((start + count - 1) / superblock.blocksPerGroup);
    for (let index = Math.floor(start / superblock.blocksPerGroup); index <= last; index++) {
      if (groups[index]!.blocksUninitialised) {
        report(`block ${String(start)} is in use in group ${String(index)}, which was never used`);
      }
    }
  }
}

/** The bitmap that `uses` make for `count` blocks from `start` on; `cursor` moves on through the uses. */
function bitmapOf(uses: BlockUseTable, start: number, count: number, cursor: { at: number }): Buffer {
  const bitmap = Buffer.alloc(BLOCK_SIZE);
  for (; cursor.at < uses.length; cursor.at++) {
    const use = uses.get(cursor.at);
    if (use.start >= start + count) break;
    const end = use.start + use.count - start;
    setBits(bitmap, Math.max(0, use.start - start), Math.min(count, end));
    // What goes on in the next group is looked at again there.
    if (end > count) break;
  }
  return bitmap;
}

function setBits(bitmap: Buffer, from: number, to: number): void {
  let bit = from;
  for (; bit < to && bit % 8 !== 0; bit++) bitmap[bit >>> 3]! |= 1 << (bit & 7);
  const bytes = Math.floor((to - bit) / 8);
  if (bytes > 0) bitmap.fill(0xff, bit >>> 3, (bit >>> 3) + bytes);
  for (bit += Math.max(0, bytes) * 8; bit < to; bit++) bitmap[bit >>> 3]! |= 1 << (bit & 7);
}

function differAfter(a: Buffer, b: Buffer, from: number, to: number): boolean {
  for (let bit = from; bit < to; bit++) {
    if ((((a[bit >>> 3]! ^ b[bit >>> 3]!) >>> (bit & 7)) & 1) === 1) return true;
  }
  return false;
}

function firstDifference(a: Buffer, b: Buffer): number {
  let bit = 0;
  while (!differAfter(a, b, bit, bit + 1)) bit++;
  return bit;
}
