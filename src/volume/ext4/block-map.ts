import { BLOCK_SIZE } from '../../image/entry.js';
import { readRuns } from './block-reader.js';
import { damaged } from './damage.js';
import { decodeExtentBlock, decodeExtentRoot, type Extent, type NodeReference } from './extent.js';
import { FLAG_EXTENTS, type Inode } from './inode.js';
import type { Ext4Volume } from './volume.js';

/** Where the content of an inode is. */
export interface BlockMap {
  /** Sorted, apart from each other, within the device. */
  extents: Extent[];
  /** The blocks that hold the map itself, as far as it does not stand in the inode. */
  nodes: number[];
}

/** A legacy block of block numbers: it maps the blocks from `logical` on, through `level` further ones. */
interface PointerBlock {
  block: number;
  logical: number;
  level: number;
}

const DIRECT_POINTERS = 12;
const POINTERS_PER_BLOCK = BLOCK_SIZE / 4;
const LEGACY_LEVELS = 3;

/** The map of an inode if the inode itself holds all of it, else undefined. Throws `VOLUME_DAMAGED`. */
export function shallowMap(volume: Ext4Volume, inode: Inode): BlockMap | undefined {
  if ((inode.flags & FLAG_EXTENTS) === 0) {
    const { extents, children } = legacyRoot(volume, inode);
    return children.length > 0 ? undefined : { extents, nodes: [] };
  }
  const { extents, children } = decodeExtentRoot(inode.block, volume.superblock.blocks);
  return children.length > 0 ? undefined : { extents, nodes: [] };
}

/** Reads the map of an inode. Throws `VOLUME_DAMAGED`. */
export async function readMap(volume: Ext4Volume, inode: Inode): Promise<BlockMap> {
  return (inode.flags & FLAG_EXTENTS) === 0 ? readLegacyMap(volume, inode) : readExtents(volume, inode);
}

async function readExtents(volume: Ext4Volume, inode: Inode): Promise<BlockMap> {
  const { blocks } = volume.superblock;
  const root = decodeExtentRoot(inode.block, blocks);
  const map: BlockMap = { extents: root.extents, nodes: [] };
  for (let level: NodeReference[] = root.children; level.length > 0;) {
    const next: NodeReference[] = [];
    const runs = level.map(node => ({ block: node.block, count: 1, of: node }));
    for await (const pieces of readRuns(volume.reader, runs, volume.signal)) {
      for (const { run, data } of pieces) {
        const { extents, children } = decodeExtentBlock(data, run.of, inode.seed, blocks);
        map.nodes.push(run.block);
        for (const extent of extents) map.extents.push(extent);
        for (const child of children) next.push(child);
      }
    }
    if (map.nodes.length + next.length > blocks) throw damaged('the extent tree is larger than the device');
    level = next;
  }
  return map;
}

/*
 * The legacy map (Linux documentation, filesystems/ext4/blockmap.rst): 12 numbers of blocks, then one of a
 * block of numbers, one of a block of such blocks, and one of a block of those. Zero is a hole. Today only
 * the resize inode is mapped so, and files that older kernels have left.
 */

function legacyRoot(volume: Ext4Volume, inode: Inode): { extents: Extent[]; children: PointerBlock[] } {
  const extents: Extent[] = [];
  for (let index = 0; index < DIRECT_POINTERS; index++) {
    addBlock(extents, volume, index, inode.block.readUInt32LE(index * 4));
  }
  const children: PointerBlock[] = [];
  let logical = DIRECT_POINTERS;
  for (let level = 0; level < LEGACY_LEVELS; level++) {
    const block = inode.block.readUInt32LE((DIRECT_POINTERS + level) * 4);
    if (block !== 0) children.push({ block: checkPointer(volume, block), logical, level });
    logical += POINTERS_PER_BLOCK ** (level + 1);
  }
  return { extents, children };
}

async function readLegacyMap(volume: Ext4Volume, inode: Inode): Promise<BlockMap> {
  const root = legacyRoot(volume, inode);
  const map: BlockMap = { extents: root.extents, nodes: [] };
  for (let level = root.children; level.length > 0;) {
    const next: PointerBlock[] = [];
    const runs = level.map(pointers => ({ block: pointers.block, count: 1, of: pointers }));
    for await (const pieces of readRuns(volume.reader, runs, volume.signal)) {
      for (const { run, data } of pieces) {
        map.nodes.push(run.block);
        readPointers(volume, data, run.of, map.extents, next);
      }
    }
    const size = map.nodes.length + next.length + map.extents.length;
    if (size > volume.superblock.blocks) throw damaged('the block map is larger than the device');
    level = next;
  }
  map.extents.sort((a, b) => a.logical - b.logical);
  return map;
}

function readPointers(
  volume: Ext4Volume,
  data: Buffer,
  { logical, level }: PointerBlock,
  extents: Extent[],
  next: PointerBlock[],
): void {
  const span = POINTERS_PER_BLOCK ** level;
  for (let index = 0; index < POINTERS_PER_BLOCK; index++) {
    const block = data.readUInt32LE(index * 4);
    const at = logical + index * span;
    if (level === 0) addBlock(extents, volume, at, block);
    else if (block !== 0) next.push({ block: checkPointer(volume, block), logical: at, level: level - 1 });
  }
}

function addBlock(extents: Extent[], volume: Ext4Volume, logical: number, physical: number): void {
  if (physical === 0) return;
  checkPointer(volume, physical);
  const last = extents.at(-1);
  if (last?.logical === logical - (last?.count ?? 0) && last.physical + last.count === physical) {
    last.count++;
  } else {
    extents.push({ logical, physical, count: 1, unwritten: false });
  }
}

function checkPointer(volume: Ext4Volume, block: number): number {
  if (block >= volume.superblock.blocks) throw damaged(`block ${String(block)} is outside the device`);
  return block;
}
