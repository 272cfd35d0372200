import { BLOCK_SIZE } from '../../image/entry.js';
import type { BlockUse } from '../ext4/block-use-table.js';
import { tableRuns } from '../ext4/inode-table.js';
import type { Survey } from '../ext4/survey.js';
import type { Ext4Volume } from '../ext4/volume.js';
import { cleanBlock } from './clean-block.js';

/** A run of blocks of a disk (of `BLOCK_SIZE`, from the start of the disk) that is to be captured. */
export interface DiskPart {
  start: number;
  count: number;
  /** Zeroes what a block holds beyond its use, given its number on the disk; left out for plain data. */
  clean?: (block: Buffer, number: number) => void;
}

/** The parts of a disk that an ext4 file system has in use, in order, if it begins at byte `offset`. */
export function* volumeParts(
  volume: Ext4Volume,
  survey: Survey,
  offset: number,
): Generator<DiskPart, void, undefined> {
  const shift = offset / BLOCK_SIZE;
  for (const use of usesWithContent(volume, survey)) {
    const part = { start: use.start + shift, count: use.count };
    if (isPlain(use)) {
      yield part;
      continue;
    }
    const clean = (block: Buffer, number: number): void => {
      cleanBlock(volume, survey.inUse, use, number - shift, block);
    };
    yield { ...part, clean };
  }
}

function isPlain({ kind }: BlockUse): boolean {
  return kind === 'data' || kind === 'pointers' || kind === 'block-bitmap';
}

/** All uses but those that mean nothing; of inode tables, the blocks with an inode in use. */
function* usesWithContent(volume: Ext4Volume, { inUse, uses }: Survey): Generator<BlockUse, void, undefined> {
  for (const use of uses) {
    if (use.kind === 'zero') continue;
    if (use.kind !== 'inode-table') {
      yield use;
      continue;
    }
    for (const { block, count } of tableRuns(volume, inUse, volume.groups[use.of]!)) {
      yield { ...use, start: block, count };
    }
  }
}
