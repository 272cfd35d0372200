import { BLOCK_SIZE } from '../../image/entry.js';
import { compareWithBitmaps } from './block-bitmap.js';
import type { BlockMap } from './block-map.js';
import { BlockUseTable, type BlockKind, type BlockUse } from './block-use-table.js';
import { damaged } from './damage.js';
import type { Extent } from './extent.js';
import { descriptorsAfter, hasSuperblock, inodeTableBlocks } from './group.js';
import { FLAG_EXTENTS, FLAG_INDEX, RESIZE_INODE, type Inode } from './inode.js';
import type { Ext4Volume } from './volume.js';

/** Gathers what every block of a file system is used for. */
export class BlockUsage {
  readonly #volume: Ext4Volume;
  readonly #uses = new BlockUseTable();
  readonly #xattrBlocks = new Set<number>();

  constructor(volume: Ext4Volume) {
    this.#volume = volume;
    for (const use of groupUses(volume)) this.#uses.add(use);
  }

  /** Adds the blocks of an inode. */
  addInode(inode: Inode, map: BlockMap | undefined): void {
    const block = inode.xattrBlock;
    if (block !== 0 && !this.#xattrBlocks.has(block)) {
      if (block >= this.#volume.superblock.blocks) throw damaged('the attribute block is outside the device');
      this.#xattrBlocks.add(block);
      this.#uses.add({ start: block, count: 1, kind: 'xattrs', of: 0 });
    }
    if (map === undefined) return;
    if (inode.type === 'directory') checkDirectorySize(inode, map);
    const kind = inode.flags & FLAG_EXTENTS ? 'extent-node' : 'pointers';
    for (const start of map.nodes) this.#uses.add({ start, count: 1, kind, of: inode.seed });
    for (const extent of map.extents) this.#addExtent(inode, extent);
  }

  #addExtent(inode: Inode, extent: Extent): void {
    const all = { from: extent.logical, to: extent.logical + extent.count };
    const add = (kind: BlockKind, of: number, from: number, to: number): void => {
      const [first, end] = [Math.max(from, all.from), Math.min(to, all.to)];
      if (end <= first) return;
      this.#uses.add({ start: extent.physical + first - all.from, count: end - first, kind, of });
    };
    const whole = Math.floor(inode.size / BLOCK_SIZE);
    const rest = inode.size % BLOCK_SIZE;
    if (extent.unwritten || inode.number === RESIZE_INODE) {
      add('zero', 0, all.from, all.to);
    } else if (inode.number === this.#volume.superblock.journalInode) {
      add('journal', 0, 0, 1);
      add('zero', 0, 1, all.to);
    } else if (inode.type === 'directory') {
      const indexed = (inode.flags & FLAG_INDEX) !== 0;
      add(indexed ? 'indexed-root' : 'directory', inode.seed, 0, 1);
      add(indexed ? 'indexed' : 'directory', inode.seed, 1, all.to);
    } else {
      add('data', 0, 0, whole);
      if (rest > 0) add('tail', rest, whole, whole + 1);
      add('zero', 0, rest > 0 ? whole + 1 : whole, all.to);
    }
  }

  /**
   * All uses, sorted and apart from each other. Reports blocks that are used twice, and those that are
   * used but free by the block bitmaps or the other way round.
   */
  async finish(): Promise<BlockUseTable> {
    const uses = this.#uses.sorted();
    let end = 0;
    for (const { start, count } of uses) {
      if (start < end) this.#volume.report(`block ${String(start)} is used twice`);
      end = start + count;
    }
    await compareWithBitmaps(this.#volume, uses);
    return uses;
  }
}

function checkDirectorySize({ size }: Inode, { extents }: BlockMap): void {
  const last = extents.at(-1);
  if (last === undefined || size !== (last.logical + last.count) * BLOCK_SIZE) {
    throw damaged('the size of the directory is not that of its blocks');
  }
}

function* groupUses({ superblock, groups }: Ext4Volume): Generator<BlockUse, void, undefined> {
  for (const group of groups) {
    const of = group.index;
    const own: BlockUse[] = [
      { start: group.blockBitmap, count: 1, kind: group.blocksUninitialised ? 'zero' : 'block-bitmap', of },
      {
        start: group.inodeBitmap,
        count: 1,
        kind: group.initialisedInodes === 0 ? 'zero' : 'inode-bitmap',
        of,
      },
      { start: group.inodeTable, count: inodeTableBlocks(superblock), kind: 'inode-table', of },
    ];
    yield* own;
    if (!hasSuperblock(of, superblock)) continue;
    const start = of * superblock.blocksPerGroup;
    yield { start, count: 1, kind: 'superblock', of };
    yield { start: descriptorsAfter(start), count: superblock.descriptorBlocks, kind: 'descriptors', of };
  }
}
