import { BLOCK_SIZE } from '../../image/entry.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { Piece } from '../disk/boot-area.js';
import { areaDigest, readArea } from '../disk/boot-area.js';
import { extentOf, partitionOf, ROOT } from '../disk/disk-plan.js';
import type { PartitionedDisk } from '../disk/partitioned-disk.js';
import type { BlockReader } from '../ext4/block-reader.js';
import type { VolumeState } from '../volume-record.js';
import type { DiskPart } from './disk-part.js';

/** What is known to lie beside the root partition of a disk; undefined where nothing is known. */
export type DiskFacts = VolumeState['disk'];

/** What lies beside the root partition of a disk, read and found to be what was put there. */
export class Beside {
  /** Where the root begins on the disk, in bytes. */
  readonly rootOffset: number;
  readonly #rootBlocks: number;
  /** Blocks of the disk by number; what is in none of them is zeros. */
  readonly #blocks: ReadonlyMap<number, Buffer>;
  readonly #diskBlocks: number;

  private constructor({ table, size }: PartitionedDisk, pieces: readonly Piece[]) {
    const { offset, length } = extentOf(partitionOf(table, ROOT));
    this.rootOffset = Number(offset);
    this.#rootBlocks = Number(length) / BLOCK_SIZE;
    this.#diskBlocks = Number(size) / BLOCK_SIZE;
    this.#blocks = blocksOf(pieces);
  }

  /** Throws `VOLUME_DOUBTFUL` when something else is there, `VOLUME_UNKNOWN` when nothing is known. */
  static async read(disk: PartitionedDisk, known: DiskFacts): Promise<Beside> {
    if (known === undefined) {
      const message = `Nothing is known of the boot loaders on ${disk.path}; run apply to make them right`;
      throw new ImageUnpackerError('VOLUME_UNKNOWN', message, { device: disk.path });
    }
    const pieces = await readArea(disk.file, known.extents);
    if (areaDigest(pieces) === known.digest) return new Beside(disk, pieces);
    const message = `The volume on ${disk.path} is doubtful: its partition table, boot loader or ESP was written to by somebody else since it was last known; run apply to make it exact again`;
    throw new ImageUnpackerError('VOLUME_DOUBTFUL', message, { device: disk.path });
  }

  /** Reads the disk: `root` for the root partition, what was read already for all else. */
  around(root: BlockReader): BlockReader {
    const start = this.rootOffset / BLOCK_SIZE;
    const end = start + this.#rootBlocks;
    const blocks = this.#blocks;
    return {
      blocks: this.#diskBlocks,
      read: async (block, count, into) => {
        const first = Math.max(block, start);
        const last = Math.min(block + count, end);
        for (let number = block; number < block + count; number++) {
          if (number >= first && number < last) continue;
          const at = (number - block) * BLOCK_SIZE;
          const bytes = blocks.get(number);
          if (bytes === undefined) into.fill(0, at, at + BLOCK_SIZE);
          else bytes.copy(into, at);
        }
        if (first < last)
          await root.read(first - start, last - first, into.subarray((first - block) * BLOCK_SIZE));
      },
    };
  }

  /** The parts of the disk: those of the root, which are given, and what lies before and after it. */
  *partsAround(root: Iterable<DiskPart>): Generator<DiskPart, void, undefined> {
    const numbers = [...this.#blocks.keys()].sort((a, b) => a - b);
    const start = this.rootOffset / BLOCK_SIZE;
    for (const number of numbers) if (number < start) yield { start: number, count: 1 };
    yield* root;
    for (const number of numbers) if (number >= start) yield { start: number, count: 1 };
  }
}

function blocksOf(pieces: readonly Piece[]): Map<number, Buffer> {
  const blocks = new Map<number, Buffer>();
  for (const { offset, bytes } of pieces) {
    for (let at = 0; at < bytes.length;) {
      const number = Math.floor((offset + at) / BLOCK_SIZE);
      const within = (offset + at) % BLOCK_SIZE;
      const block = blocks.get(number) ?? Buffer.alloc(BLOCK_SIZE);
      blocks.set(number, block);
      at += bytes.copy(block, within, at);
    }
  }
  return blocks;
}
