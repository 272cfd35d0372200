import type { DirectoryBlockKind } from './directory.js';

/**
 * What blocks in use are for. `of` of a use is, by kind: the group (superblock, descriptors, bitmaps,
 * inode-table), the seed of checksums (directories, extent-node), the bytes before the end of the file
 * (tail), else 0. `zero` is allocated and means nothing: unwritten, reserved, the body of the journal.
 */
export type BlockKind =
  | DirectoryBlockKind
  | 'superblock'
  | 'descriptors'
  | 'block-bitmap'
  | 'inode-bitmap'
  | 'inode-table'
  | 'extent-node'
  | 'pointers'
  | 'xattrs'
  | 'journal'
  | 'data'
  | 'tail'
  | 'zero';

/** A run of blocks in use. */
export interface BlockUse {
  start: number;
  count: number;
  kind: BlockKind;
  of: number;
}

const KINDS: readonly BlockKind[] = [
  'directory',
  'indexed',
  'indexed-root',
  'superblock',
  'descriptors',
  'block-bitmap',
  'inode-bitmap',
  'inode-table',
  'extent-node',
  'pointers',
  'xattrs',
  'journal',
  'data',
  'tail',
  'zero',
];
const NUMBERS = new Map(KINDS.map((kind, number) => [kind, number]));
const FIRST_CAPACITY = 4096;
/** Of a row: start, count, kind, of. */
const COLUMNS = 4;

/** Uses of blocks. There are several for each file, so they are kept as numbers and not as objects. */
export class BlockUseTable {
  #rows = new Float64Array(FIRST_CAPACITY * COLUMNS);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  add({ start, count, kind, of }: BlockUse): void {
    const at = this.#length++ * COLUMNS;
    if (at === this.#rows.length) {
      const rows = new Float64Array(at * 2);
      rows.set(this.#rows);
      this.#rows = rows;
    }
    this.#rows[at] = start;
    this.#rows[at + 1] = count;
    this.#rows[at + 2] = NUMBERS.get(kind)!;
    this.#rows[at + 3] = of;
  }

  /** The use in row `index`, which must be there. */
  get(index: number): BlockUse {
    const rows = this.#rows;
    const at = index * COLUMNS;
    return { start: rows[at]!, count: rows[at + 1]!, kind: KINDS[rows[at + 2]!]!, of: rows[at + 3]! };
  }

  *[Symbol.iterator](): Generator<BlockUse, void, undefined> {
    for (let index = 0; index < this.#length; index++) yield this.get(index);
  }

  /** The same uses by their first blocks, neighbours of one kind and meaning joined. */
  sorted(): BlockUseTable {
    const order = Uint32Array.from({ length: this.#length }, (_, index) => index);
    order.sort((a, b) => this.#rows[a * COLUMNS]! - this.#rows[b * COLUMNS]!);
    const sorted = new BlockUseTable();
    let last: BlockUse | undefined;
    for (const index of order) {
      const use = this.get(index);
      if (last?.kind === use.kind && last.of === use.of && last.start + last.count === use.start) {
        last.count += use.count;
      } else {
        if (last !== undefined) sorted.add(last);
        last = use;
      }
    }
    if (last !== undefined) sorted.add(last);
    return sorted;
  }
}
