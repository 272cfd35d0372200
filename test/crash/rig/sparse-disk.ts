import { closeSync, ftruncateSync, openSync, readSync, writevSync } from 'node:fs';

const BLOCK_BYTES = 4096;
/** Pieces that one call writes (IOV_MAX of limits.h). */
const MOST_PIECES = 1024;

/** The content of a disk, in memory: blocks that are not there are zeros. A copy costs next to nothing. */
export class SparseDisk {
  readonly size: number;
  /** Blocks are never changed, only replaced: copies share them. */
  readonly #blocks: Map<number, Buffer>;

  constructor(size: number, blocks = new Map<number, Buffer>()) {
    this.size = size;
    this.#blocks = blocks;
  }

  /** Reads the file of a disk. */
  static read(path: string, size: number): SparseDisk {
    const disk = new SparseDisk(size);
    const file = openSync(path, 'r');
    try {
      const zeros = Buffer.alloc(1 << 20);
      for (let offset = 0; offset < size; offset += zeros.length) {
        const bytes = Buffer.alloc(Math.min(zeros.length, size - offset));
        readSync(file, bytes, 0, bytes.length, offset);
        if (!bytes.equals(zeros.subarray(0, bytes.length))) disk.write(offset, bytes);
      }
    } finally {
      closeSync(file);
    }
    return disk;
  }

  copy(): SparseDisk {
    return new SparseDisk(this.size, new Map(this.#blocks));
  }

  write(offset: number, bytes: Buffer): void {
    for (let done = 0; done < bytes.length;) {
      const number = Math.floor((offset + done) / BLOCK_BYTES);
      const within = (offset + done) % BLOCK_BYTES;
      const piece = bytes.subarray(done, done + BLOCK_BYTES - within);
      this.#blocks.set(number, piece.length === BLOCK_BYTES ? piece : this.#with(number, within, piece));
      done += piece.length;
    }
  }

  zero(offset: number, length: number): void {
    const end = offset + length;
    const firstWhole = Math.ceil(offset / BLOCK_BYTES);
    const lastWhole = Math.floor(end / BLOCK_BYTES);
    if (firstWhole > lastWhole) {
      this.write(offset, Buffer.alloc(length));
      return;
    }
    for (const number of this.#blocks.keys()) {
      if (number >= firstWhole && number < lastWhole) this.#blocks.delete(number);
    }
    this.write(offset, Buffer.alloc(firstWhole * BLOCK_BYTES - offset));
    this.write(lastWhole * BLOCK_BYTES, Buffer.alloc(end - lastWhole * BLOCK_BYTES));
  }

  /** Writes the disk as a sparse file. */
  save(path: string): void {
    const file = openSync(path, 'w');
    try {
      ftruncateSync(file, this.size);
      for (const { number, pieces } of this.#runs()) writevSync(file, pieces, number * BLOCK_BYTES);
    } finally {
      closeSync(file);
    }
  }

  /** Blocks that follow each other. */
  *#runs(): Generator<{ number: number; pieces: Buffer[] }> {
    let run: { number: number; pieces: Buffer[] } | undefined;
    for (const number of [...this.#blocks.keys()].sort((a, b) => a - b)) {
      const block = this.#blocks.get(number)!;
      if (run !== undefined && number === run.number + run.pieces.length && run.pieces.length < MOST_PIECES) {
        run.pieces.push(block);
        continue;
      }
      if (run !== undefined) yield run;
      run = { number, pieces: [block] };
    }
    if (run !== undefined) yield run;
  }

  #with(number: number, within: number, piece: Buffer): Buffer {
    const before = this.#blocks.get(number);
    const block = before === undefined ? Buffer.alloc(BLOCK_BYTES) : Buffer.from(before);
    piece.copy(block, within);
    return block;
  }
}
