import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type { DiskContent } from '../../src/cloud/cloud.js';
import type { DiskMap } from '../../src/image/disk-map.js';
import { DISK_BLOCK_SIZE, diskBlocks } from '../../src/image/disk-map.js';

const ZEROS = Buffer.alloc(DISK_BLOCK_SIZE);

/** A disk in memory: all zeros but for some blocks. */
export class ModelDisk {
  readonly size: number;
  readonly #blocks: ReadonlyMap<number, Buffer>;

  constructor(size: number, blocks: ReadonlyMap<number, Buffer>) {
    this.size = size;
    this.#blocks = blocks;
  }

  /** A disk of `count` blocks, filled as `fills` says by number: 0 is a block of zeros. */
  static of(fills: Readonly<Record<number, number>>, size: number): ModelDisk {
    const blocks = Object.entries(fills).filter(([, fill]) => fill !== 0);
    return new ModelDisk(size, new Map(blocks.map(([at, fill]) => [Number(at), patterned(fill)])));
  }

  block(number: number): Buffer {
    const block = Buffer.alloc(DISK_BLOCK_SIZE);
    this.#blocks
      .get(number)
      ?.copy(block, 0, 0, Math.min(DISK_BLOCK_SIZE, this.size - number * DISK_BLOCK_SIZE));
    return block;
  }

  get map(): DiskMap {
    const present = Buffer.alloc(Math.ceil(diskBlocks(BigInt(this.size)) / 8));
    const digests: Buffer[] = [];
    for (const at of this.#used) {
      const block = this.block(at);
      if (block.equals(ZEROS)) continue;
      present[at >>> 3]! |= 1 << (at & 7);
      digests.push(createHash('sha256').update(block).digest());
    }
    return { size: BigInt(this.size), present, digests: Buffer.concat(digests) };
  }

  /** Makes the file at `path` this disk. */
  write(path: string): void {
    const file = openSync(path, 'w');
    ftruncateSync(file, this.size);
    for (const at of this.#used) {
      const start = at * DISK_BLOCK_SIZE;
      writeSync(file, this.block(at), 0, Math.min(DISK_BLOCK_SIZE, this.size - start), start);
    }
    closeSync(file);
  }

  get #used(): number[] {
    return [...this.#blocks.keys()].sort((a, b) => a - b);
  }

  /** What a target is given of it; `asked` takes the numbers that were asked for. */
  content(asked: number[] = []): DiskContent {
    const read = this.#read.bind(this);
    return {
      map: this.map,
      blocks: numbers => {
        asked.push(...numbers);
        return read(numbers);
      },
    };
  }

  async *#read(numbers: readonly number[]): AsyncGenerator<Buffer, void, undefined> {
    for (const number of numbers) yield Promise.resolve(this.block(number));
  }
}

/** A block that is zeros here and there, as those of a file system are. */
function patterned(fill: number): Buffer {
  const block = Buffer.alloc(DISK_BLOCK_SIZE);
  for (let at = 0; at < DISK_BLOCK_SIZE; at += 4096 * 3) block.fill(fill, at + 5, at + 4096);
  return block;
}
