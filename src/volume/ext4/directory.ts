import { BLOCK_SIZE } from '../../image/entry.js';
import { crc32c } from './crc32c.js';
import { damaged } from './damage.js';
import type { InodeType } from './inode.js';

/*
 * A block of a directory (Linux documentation, filesystems/ext4/directory.rst):
 *
 *   leaf   = record ... tail
 *   record = inode u32, record length u16, name length u8, type u8, name, slack   (inode 0: unused)
 *   tail   = 0 u32, 12 u16, 0 u8, 0xDE u8, CRC-32C u32 of all before it, from the inode's seed
 *
 * and of an indexed directory, whose inner nodes look like unused records to who reads it linearly:
 *
 *   root   = "." record (12 bytes), ".." record (length to the end of the block), 4 bytes of zero,
 *            hash version u8, 8 u8, levels u8, flags u8, entries            (the first block)
 *   node   = unused record of 4096 bytes, entries
 *   entries = capacity u16, count u16, block u32, (hash u32, block u32) x count - 1, slack, 0 u32,
 *            CRC-32C u32 of all before the slack and that zero, and of four zero bytes
 */

const RECORD_SIZE = 8;
const TAIL_SIZE = 12;
const TAIL_TYPE = 0xde;
const TAIL_START = BLOCK_SIZE - TAIL_SIZE;
const ROOT_ENTRIES = 32;
const NODE_ENTRIES = 8;
const INDEX_ENTRY_SIZE = 8;
const INDEX_TAIL_SIZE = 8;
const MAX_INDEX_LEVELS = 2;
const MAX_HASH_VERSION = 5;

const TYPES: readonly (InodeType | undefined)[] = [
  undefined,
  'file',
  'directory',
  'character',
  'block',
  'fifo',
  'socket',
  'symlink',
];

/** A name in a directory. */
export interface DirectoryRecord {
  /** A character for each byte (Latin-1): a fifth of what a buffer for each name would take. */
  name: string;
  inode: number;
  type: InodeType;
}

/** How the block of a directory is to be understood: by its place, and by whether there is an index. */
export type DirectoryBlockKind = 'directory' | 'indexed' | 'indexed-root';

/**
 * Decodes and checks a block of a directory whose blocks' checksums start from `seed`. The names, `.` and
 * `..` are among them. Throws `VOLUME_DAMAGED`.
 */
export function decodeDirectoryBlock(
  block: Buffer,
  kind: DirectoryBlockKind,
  seed: number,
): DirectoryRecord[] {
  if (kind === 'indexed-root') {
    checkIndex(block, ROOT_ENTRIES, seed);
    return [...records(block, 0, 12), ...records(block, 12, BLOCK_SIZE)];
  }
  if (isIndexNode(block, kind)) {
    checkIndex(block, NODE_ENTRIES, seed);
    return [];
  }
  checkTail(block, seed);
  return [...records(block, 0, TAIL_START)];
}

function isIndexNode(block: Buffer, kind: DirectoryBlockKind): boolean {
  return kind === 'indexed' && block.readUInt32LE(0) === 0 && block.readUInt16LE(4) === BLOCK_SIZE;
}

function* records(block: Buffer, start: number, end: number): Generator<DirectoryRecord, void, undefined> {
  for (const { at, length, inode, nameLength } of slots(block, start, end)) {
    if (inode === 0) continue;
    const name = block.toString('latin1', at + RECORD_SIZE, at + RECORD_SIZE + nameLength);
    const type = TYPES[block[at + 7]!];
    if (nameLength === 0 || length < RECORD_SIZE + nameLength)
      throw damaged('a name does not fit in its record');
    if (name.includes('\0') || name.includes('/')) throw damaged('a name holds a slash or a zero byte');
    if (type === undefined) throw damaged(`a name is of the unknown type ${String(block[at + 7])}`);
    yield { name, inode, type };
  }
}

interface Slot {
  at: number;
  length: number;
  inode: number;
  nameLength: number;
}

function* slots(block: Buffer, start: number, end: number): Generator<Slot, void, undefined> {
  for (let at = start; at < end;) {
    const length = at + RECORD_SIZE <= end ? block.readUInt16LE(at + 4) : 0;
    if (length < TAIL_SIZE || length % 4 !== 0 || at + length > end) {
      throw damaged(`a record of a directory has the length ${String(length)}`);
    }
    yield { at, length, inode: block.readUInt32LE(at), nameLength: block[at + 6]! };
    at += length;
  }
}

function checkTail(block: Buffer, seed: number): void {
  const isTail =
    block.readUInt32LE(TAIL_START) === 0 &&
    block.readUInt16LE(TAIL_START + 4) === TAIL_SIZE &&
    block[TAIL_START + 6] === 0 &&
    block[TAIL_START + 7] === TAIL_TYPE;
  if (!isTail || crc32c(seed, block, 0, TAIL_START) !== block.readUInt32LE(BLOCK_SIZE - 4)) {
    throw damaged('a block of the directory does not match its checksum');
  }
}

function checkIndex(block: Buffer, entries: number, seed: number): void {
  const capacity = (BLOCK_SIZE - entries - INDEX_TAIL_SIZE) / INDEX_ENTRY_SIZE;
  const count = block.readUInt16LE(entries + 2);
  const sound =
    block.readUInt16LE(entries) === capacity &&
    count >= 1 &&
    count <= capacity &&
    (entries === NODE_ENTRIES ||
      (block.readUInt16LE(4) === 12 &&
        block.readUInt16LE(16) === BLOCK_SIZE - 12 &&
        block.readUInt32LE(24) === 0 &&
        block[28]! <= MAX_HASH_VERSION &&
        block[29] === 8 &&
        block[30]! <= MAX_INDEX_LEVELS));
  if (!sound) throw damaged('the index of the directory is none');
  if (indexChecksum(block, entries, seed) !== block.readUInt32LE(BLOCK_SIZE - 4)) {
    throw damaged('the index of the directory does not match its checksum');
  }
}

function indexChecksum(block: Buffer, entries: number, seed: number): number {
  const count = block.readUInt16LE(entries + 2);
  const crc = crc32c(seed, block, 0, entries + count * INDEX_ENTRY_SIZE);
  return crc32c(crc32c(crc, block, BLOCK_SIZE - 8, BLOCK_SIZE - 4), Buffer.alloc(4));
}

/** Zeroes what a decoded block of a directory does not use, deleted names above all; renews its checksum. */
export function cleanDirectoryBlock(block: Buffer, kind: DirectoryBlockKind, seed: number): void {
  if (kind === 'indexed-root') {
    cleanSlot(block, { at: 0, length: 12, inode: block.readUInt32LE(0), nameLength: 1 });
    cleanSlot(block, { at: 12, length: 12, inode: block.readUInt32LE(12), nameLength: 2 });
    cleanIndex(block, ROOT_ENTRIES, seed);
  } else if (isIndexNode(block, kind)) {
    block.fill(0, 6, 8);
    cleanIndex(block, NODE_ENTRIES, seed);
  } else {
    for (const slot of slots(block, 0, TAIL_START)) cleanSlot(block, slot);
    block.writeUInt32LE(crc32c(seed, block, 0, TAIL_START), BLOCK_SIZE - 4);
  }
}

function cleanSlot(block: Buffer, { at, length, inode, nameLength }: Slot): void {
  if (inode === 0) block.fill(0, at + 6, at + length);
  else block.fill(0, at + RECORD_SIZE + nameLength, at + length);
}

function cleanIndex(block: Buffer, entries: number, seed: number): void {
  const count = block.readUInt16LE(entries + 2);
  block.fill(0, entries + count * INDEX_ENTRY_SIZE, BLOCK_SIZE - 4);
  block.writeUInt32LE(indexChecksum(block, entries, seed), BLOCK_SIZE - 4);
}
