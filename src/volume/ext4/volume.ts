import { BLOCK_SIZE } from '../../image/entry.js';
import { readBlocks, readRuns, type BlockReader } from './block-reader.js';
import { damaged, type Report } from './damage.js';
import { decodeGroups, descriptorsAfter, type Group } from './group.js';
import { decodeSuperblock, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, type Superblock } from './superblock.js';

/** An ext4 file system that is open for reading, and who hears of its faults. */
export interface Ext4Volume {
  reader: BlockReader;
  superblock: Superblock;
  groups: readonly Group[];
  report: Report;
  signal: AbortSignal | undefined;
}

/**
 * Reads the superblock and the group descriptors. Throws what `decodeSuperblock` throws, and
 * `VOLUME_DAMAGED` if the file system does not fit on its device.
 */
export async function openVolume(
  reader: BlockReader,
  report: Report,
  signal?: AbortSignal,
): Promise<Ext4Volume> {
  if (reader.blocks === 0) throw damaged('the device is smaller than a block');
  const first = await readBlocks(reader, 0, 1);
  const superblock = decodeSuperblock(first.subarray(SUPERBLOCK_OFFSET, SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE));
  if (superblock.blocks > reader.blocks) {
    const [needs, has] = [superblock.blocks * BLOCK_SIZE, reader.blocks * BLOCK_SIZE];
    throw damaged(`it spans ${String(needs)} bytes, but its device has ${String(has)}`);
  }
  const table = Buffer.allocUnsafeSlow(superblock.descriptorBlocks * BLOCK_SIZE);
  const run = { block: descriptorsAfter(0), count: superblock.descriptorBlocks, of: undefined };
  for await (const pieces of readRuns(reader, [run], signal)) {
    for (const { from, data } of pieces) data.copy(table, from * BLOCK_SIZE);
  }
  return { reader, superblock, groups: decodeGroups(table, superblock, report), report, signal };
}
