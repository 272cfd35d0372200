import { BLOCK_SIZE } from '../../image/entry.js';
import { crc32c } from './crc32c.js';
import { damaged } from './damage.js';

/*
 * A node of an extent tree (Linux documentation, filesystems/ext4/ifork.rst), in the 60 bytes of an inode
 * or in a block of its own:
 *
 *   node   = magic u16 (0xF30A), entries u16, capacity u16, depth u16, generation u32,
 *            entry x capacity, and in a block: CRC-32C u32 of all before, from the inode's seed
 *   leaf   = first logical block u32, length u16, physical high u16, physical low u32     (depth 0)
 *            a length above 32768 stands for that length less 32768, allocated but unwritten
 *   index  = first logical block u32, child low u32, child high u16, unused u16           (depth > 0)
 */

const MAGIC = 0xf30a;
const HEADER_SIZE = 12;
const ENTRY_SIZE = 12;
const MAX_DEPTH = 5;
const MAX_LENGTH = 32768;
const BLOCK_CAPACITY = Math.floor((BLOCK_SIZE - HEADER_SIZE - 4) / ENTRY_SIZE);
/** Logical blocks are numbered by 32 bits. */
const LOGICAL_END = 2 ** 32;

/** A run of blocks of a file: `count` blocks from block `logical` of the file are at `physical`. */
export interface Extent {
  logical: number;
  physical: number;
  count: number;
  /** Allocated, but reads as zeros. */
  unwritten: boolean;
}

/** A node in a block, as its parent describes it: what it maps lies from `from` up to `to`. */
export interface NodeReference {
  block: number;
  depth: number;
  from: number;
  to: number;
}

/** What a node holds: extents if it is a leaf, further nodes if not. */
export interface ExtentNode {
  extents: Extent[];
  children: NodeReference[];
}

/** Decodes the root of an extent tree from an inode. `blocks` is how many blocks there are. */
export function decodeExtentRoot(bytes: Buffer, blocks: number): ExtentNode {
  const depth = bytes.readUInt16LE(6);
  if (depth > MAX_DEPTH) throw damaged(`an extent tree of depth ${String(depth)}`);
  const capacity = (bytes.length - HEADER_SIZE) / ENTRY_SIZE;
  return decodeNode(bytes, capacity, { block: 0, depth, from: 0, to: LOGICAL_END }, blocks);
}

/** Decodes and checks a node that stands in a block of its own. Throws `VOLUME_DAMAGED`. */
export function decodeExtentBlock(
  bytes: Buffer,
  at: NodeReference,
  seed: number,
  blocks: number,
): ExtentNode {
  if (!extentBlockMatches(bytes, seed)) {
    throw damaged(`the extent block ${String(at.block)} does not match its checksum`);
  }
  const node = decodeNode(bytes, BLOCK_CAPACITY, at, blocks);
  if (node.extents.length + node.children.length === 0) {
    throw damaged(`the extent block ${String(at.block)} is empty`);
  }
  return node;
}

function decodeNode(bytes: Buffer, capacity: number, at: NodeReference, blocks: number): ExtentNode {
  const entries = bytes.readUInt16LE(2);
  const sound =
    bytes.readUInt16LE(0) === MAGIC &&
    bytes.readUInt16LE(4) === capacity &&
    entries <= capacity &&
    bytes.readUInt16LE(6) === at.depth;
  if (!sound) throw damaged(`a node of the extent tree is none (block ${String(at.block)})`);
  const offsets = Array.from({ length: entries }, (_, index) => HEADER_SIZE + index * ENTRY_SIZE);
  if (at.depth === 0) return { extents: decodeLeaves(bytes, offsets, at, blocks), children: [] };
  return { extents: [], children: decodeIndexes(bytes, offsets, at, blocks) };
}

function decodeLeaves(bytes: Buffer, offsets: number[], at: NodeReference, blocks: number): Extent[] {
  let next = at.from;
  return offsets.map(offset => {
    const logical = bytes.readUInt32LE(offset);
    const length = bytes.readUInt16LE(offset + 4);
    const unwritten = length > MAX_LENGTH;
    const count = unwritten ? length - MAX_LENGTH : length;
    const physical = bytes.readUInt16LE(offset + 6) * 2 ** 32 + bytes.readUInt32LE(offset + 8);
    if (count === 0 || logical < next || logical + count > at.to) {
      throw damaged(`extents overlap or are out of order at block ${String(logical)} of the file`);
    }
    if (physical === 0 || physical + count > blocks) {
      throw damaged(`block ${String(logical)} of the file is said to be outside the device`);
    }
    next = logical + count;
    return { logical, physical, count, unwritten };
  });
}

function decodeIndexes(bytes: Buffer, offsets: number[], at: NodeReference, blocks: number): NodeReference[] {
  const starts = offsets.map(offset => bytes.readUInt32LE(offset));
  return offsets.map((offset, index) => {
    const from = starts[index]!;
    const to = starts[index + 1] ?? at.to;
    const block = bytes.readUInt32LE(offset + 4) + bytes.readUInt16LE(offset + 8) * 2 ** 32;
    if (from < at.from || to <= from || to > at.to)
      throw damaged('nodes of the extent tree are out of order');
    if (block === 0 || block >= blocks)
      throw damaged('a node of the extent tree is said to be outside the device');
    return { block, depth: at.depth - 1, from, to };
  });
}

function checksumOffset(bytes: Buffer): number {
  return HEADER_SIZE + ENTRY_SIZE * Math.min(bytes.readUInt16LE(4), BLOCK_CAPACITY);
}

function extentBlockMatches(bytes: Buffer, seed: number): boolean {
  const offset = checksumOffset(bytes);
  return crc32c(seed, bytes, 0, offset) === bytes.readUInt32LE(offset);
}

/** Zeroes what a decoded node, in an inode or in a block, does not use. */
export function cleanExtentNode(bytes: Buffer): void {
  const entries = bytes.readUInt16LE(2);
  if (bytes.readUInt16LE(6) > 0) {
    for (let index = 0; index < entries; index++)
      bytes.fill(0, 22 + index * ENTRY_SIZE, 24 + index * ENTRY_SIZE);
  }
  bytes.fill(0, HEADER_SIZE + entries * ENTRY_SIZE);
}

/** Zeroes what a decoded extent block does not use, and renews its checksum. */
export function cleanExtentBlock(bytes: Buffer, seed: number): void {
  const offset = checksumOffset(bytes);
  cleanExtentNode(bytes);
  bytes.writeUInt32LE(crc32c(seed, bytes, 0, offset), offset);
}
