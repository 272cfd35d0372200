import { BLOCK_SIZE } from '../../image/entry.js';
import { readRuns, type Run } from './block-reader.js';
import { bitmapMatches, inodeTableBlocks, type Group } from './group.js';
import { inodeMatches } from './inode.js';
import type { Ext4Volume } from './volume.js';

/** Which inodes are in use, a bitmap for each group that ever had one. */
export type InodesInUse = ReadonlyMap<number, Buffer>;

/** Reads the inode bitmaps. Reports those that do not match their checksums. */
export async function readInodesInUse(volume: Ext4Volume): Promise<InodesInUse> {
  const { superblock, groups, reader, report, signal } = volume;
  const size = superblock.inodesPerGroup / 8;
  const runs = groups
    .filter(group => group.initialisedInodes > 0)
    .map(group => ({ block: group.inodeBitmap, count: 1, of: group }));
  const bitmaps = new Map<number, Buffer>();
  for await (const pieces of readRuns(reader, runs, signal)) {
    for (const { run, data } of pieces) {
      const { index, inodeBitmapChecksum, initialisedInodes } = run.of;
      if (!bitmapMatches(data, superblock.inodesPerGroup, inodeBitmapChecksum, superblock)) {
        report(`the inode bitmap of group ${String(index)} does not match its checksum`);
      }
      const bitmap = Buffer.from(data.subarray(0, size));
      for (let inode = initialisedInodes; inode < superblock.inodesPerGroup; inode++) {
        if (bitAt(bitmap, inode)) {
          report(`group ${String(index)} has an inode in use that it counts as never used`);
          break;
        }
      }
      bitmaps.set(index, bitmap);
    }
  }
  return bitmaps;
}

/** Bit `index` of a bitmap, the least significant bit of a byte first. */
export function bitAt(bitmap: Buffer, index: number): boolean {
  return ((bitmap[index >>> 3]! >>> (index & 7)) & 1) === 1;
}

/** Whether inode `number` exists and is in use. */
export function isInUse(volume: Ext4Volume, inUse: InodesInUse, number: number): boolean {
  if (number < 1 || number > volume.superblock.inodes) return false;
  const perGroup = volume.superblock.inodesPerGroup;
  const bitmap = inUse.get(Math.floor((number - 1) / perGroup));
  return bitmap !== undefined && bitAt(bitmap, (number - 1) % perGroup);
}

/** An inode in use, as it is stored. */
export interface StoredInode {
  number: number;
  bytes: Buffer;
}

/**
 * Reads all inodes in use, in the order of the groups, a few blocks of them at a time; the bytes are lent
 * until the next step. Reports those that do not match their checksums.
 */
export async function* scanInodes(
  volume: Ext4Volume,
  inUse: InodesInUse,
): AsyncGenerator<StoredInode[], void, undefined> {
  const runs = allTableRuns(volume, inUse);
  for await (const pieces of readRuns(volume.reader, runs, volume.signal)) {
    yield pieces.flatMap(({ run, from, count, data }) => inodesIn(volume, inUse, run, from, count, data));
  }
}

function* allTableRuns(volume: Ext4Volume, inUse: InodesInUse): Generator<Run<TablePart>, void, undefined> {
  for (const group of volume.groups) yield* tableRuns(volume, inUse, group);
}

/** A stretch of the inode table of `group`, from its block `first` on. */
export interface TablePart {
  group: Group;
  first: number;
}

/** The blocks of the inode table of a group that hold an inode in use. */
export function* tableRuns(
  { superblock }: Ext4Volume,
  inUse: InodesInUse,
  group: Group,
): Generator<Run<TablePart>, void, undefined> {
  const perBlock = BLOCK_SIZE / superblock.inodeSize;
  const blocks = inodeTableBlocks(superblock);
  const bitmap = inUse.get(group.index);
  if (bitmap === undefined) return;
  for (let first = 0; first < blocks; first++) {
    let end = first;
    while (end < blocks && hasBit(bitmap, end * perBlock, perBlock)) end++;
    if (end === first) continue;
    yield { block: group.inodeTable + first, count: end - first, of: { group, first } };
    first = end;
  }
}

/** Whether any of `count` bits from `start` on is set. */
function hasBit(bitmap: Buffer, start: number, count: number): boolean {
  for (let bit = start; bit < start + count; bit++) if (bitAt(bitmap, bit)) return true;
  return false;
}

function inodesIn(
  volume: Ext4Volume,
  inUse: InodesInUse,
  run: Run<TablePart>,
  from: number,
  count: number,
  data: Buffer,
): StoredInode[] {
  const { superblock, report } = volume;
  const { group, first } = run.of;
  const bitmap = inUse.get(group.index)!;
  const perBlock = BLOCK_SIZE / superblock.inodeSize;
  const start = (first + from) * perBlock;
  const inodes: StoredInode[] = [];
  for (let at = 0; at < count * perBlock; at++) {
    if (!bitAt(bitmap, start + at)) continue;
    const number = group.index * superblock.inodesPerGroup + start + at + 1;
    const bytes = data.subarray(at * superblock.inodeSize, (at + 1) * superblock.inodeSize);
    if (!inodeMatches(bytes, number, superblock.seed))
      report('the inode does not match its checksum', number);
    inodes.push({ number, bytes });
  }
  return inodes;
}
