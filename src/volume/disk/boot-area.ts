import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { extentOf, partitionOf, ROOT } from './disk-plan.js';
import type { PartitionTable } from './gpt.js';
import { encodeTable, protectiveRecord, SECTOR_BYTES, TABLE_SECTORS } from './gpt.js';

/*
 * What is on a disk outside of its root partition: the partition table and its backup, the BIOS loader, the ESP.
 * It is pieces with zeros between them, and is only ever written where it differs.
 */

/** Bytes at a place, in bytes from the start of the disk. */
export interface Piece {
  offset: number;
  bytes: Buffer;
}

/** Where bytes are. */
export interface Extent {
  offset: number;
  length: number;
}

/** The pieces, sorted and apart from each other. */
export type BootArea = readonly Piece[];

/** Code of a BIOS loader. */
export interface BiosLoader {
  /** For the first sector of the disk, in front of the partition records. */
  bootCode: Buffer;
  /** For the BIOS boot partition. */
  core: Buffer;
}

/** Of the first sector, what comes before the partition records and the signature of the disk. */
export const BOOT_CODE_BYTES = 440;
const BLOCK_BYTES = 4096;
const CHUNK_BYTES = 1 << 20;

/** The area of a disk with that table, that loader, and further pieces. */
export function bootArea(
  table: PartitionTable,
  loader?: { bios?: (BiosLoader & { offset: number }) | undefined; others?: readonly Piece[] | undefined },
): BootArea {
  const { primary, backup } = encodeTable(table);
  const record = protectiveRecord(table.sectors);
  loader?.bios?.bootCode.copy(record, 0, 0, BOOT_CODE_BYTES);
  const backupAt = (Number(table.sectors) - TABLE_SECTORS) * SECTOR_BYTES;
  return [
    { offset: 0, bytes: Buffer.concat([record, primary]) },
    ...(loader?.bios === undefined ? [] : [{ offset: loader.bios.offset, bytes: loader.bios.core }]),
    ...(loader?.others ?? []),
    { offset: backupAt, bytes: backup },
  ];
}

/** Where the pieces of an area are. */
export function extentsOf(area: BootArea): Extent[] {
  return area.map(({ offset, bytes }) => ({ offset, length: bytes.length }));
}

/** SHA-256 of the bytes of all pieces, one behind the other, in hex. */
export function areaDigest(area: BootArea): string {
  const hash = createHash('sha256');
  for (const { bytes } of area) hash.update(bytes);
  return hash.digest('hex');
}

/** Reads what is at some places. */
export async function readArea(file: FileHandle, extents: readonly Extent[]): Promise<Piece[]> {
  const pieces: Piece[] = [];
  for (const { offset, length } of extents) {
    const bytes = Buffer.alloc(length);
    for (let done = 0; done < length;) {
      const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    pieces.push({ offset, bytes });
  }
  return pieces;
}

/** Whether all pieces of an area are on a disk. */
export async function hasArea(file: FileHandle, area: BootArea): Promise<boolean> {
  const found = await readArea(file, extentsOf(area));
  return found.every(({ bytes }, at) => bytes.equals(area[at]!.bytes));
}

/** Writes both copies of a table, the backup first, and leaves all else as it is. */
export async function writeTable(file: FileHandle, table: PartitionTable): Promise<void> {
  const [head, backup] = bootArea(table) as [Piece, Piece];
  const [{ bytes: former }] = (await readArea(file, [{ offset: 0, length: BOOT_CODE_BYTES }])) as [Piece];
  former.copy(head.bytes);
  await file.write(backup.bytes, 0, backup.bytes.length, backup.offset);
  await file.sync();
  await file.write(head.bytes, 0, head.bytes.length, head.offset);
  await file.sync();
}

/**
 * Makes all of a disk but the root partition what the area says, zeros between the pieces, writing only blocks that
 * differ. The end comes first, durably: one of both copies of the table is whole at any time.
 */
export async function writeArea(
  file: FileHandle,
  size: bigint,
  area: BootArea,
  table: PartitionTable,
): Promise<void> {
  const root = extentOf(partitionOf(table, ROOT));
  await writeRange(file, area, Number(root.offset + root.length), Number(size));
  await file.sync();
  await writeRange(file, area, 0, Number(root.offset));
  await file.sync();
}

async function writeRange(file: FileHandle, area: BootArea, start: number, end: number): Promise<void> {
  const buffer = Buffer.alloc(CHUNK_BYTES);
  for (let at = start; at < end; at += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, end - at);
    const [{ bytes: is }] = (await readArea(file, [{ offset: at, length }])) as [Piece];
    const wanted = buffer.subarray(0, length).fill(0);
    for (const { offset, bytes } of area) {
      const skipped = Math.max(at - offset, 0);
      if (skipped < bytes.length) bytes.copy(wanted, Math.max(offset - at, 0), skipped);
    }
    await writeDifferent(file, at, is, wanted);
  }
}

/** Writes the blocks that differ, neighbours together. */
async function writeDifferent(file: FileHandle, offset: number, is: Buffer, wanted: Buffer): Promise<void> {
  const differs = (at: number): boolean =>
    at < wanted.length && wanted.compare(is, at, at + BLOCK_BYTES, at, at + BLOCK_BYTES) !== 0;
  for (let at = 0; at < wanted.length; at += BLOCK_BYTES) {
    if (!differs(at)) continue;
    let end = at + BLOCK_BYTES;
    while (differs(end)) end += BLOCK_BYTES;
    await file.write(wanted, at, Math.min(end, wanted.length) - at, offset + at);
    at = end;
  }
}
