import type { FileHandle } from 'node:fs/promises';
import { isAsPlanned, isOurTable } from './disk-plan.js';
import type { PartitionTable } from './gpt.js';
import { decodeTable, encodeTable, isProtectiveRecord, SECTOR_BYTES, TABLE_SECTORS } from './gpt.js';

/** A partition table of ours, as it was found. */
export interface FoundTable {
  table: PartitionTable;
  /** Whether somebody has changed which partitions there are. */
  foreign: boolean;
  /** What of it is not whole, for people. */
  torn: string[];
}

const TABLE_BYTES = TABLE_SECTORS * SECTOR_BYTES;

/**
 * The partition table of ours on a disk; undefined when there is none. Of the two copies one suffices. The primary
 * counts when they differ: it is written last.
 */
export async function readTable(file: FileHandle, size: bigint): Promise<FoundTable | undefined> {
  const sectors = size / BigInt(SECTOR_BYTES);
  const primary = ours(decodeTable(await read(file, SECTOR_BYTES, TABLE_BYTES), 'primary'));
  const end = primary?.sectors ?? sectors;
  const backupAt = Number(end) * SECTOR_BYTES - TABLE_BYTES;
  const backupBytes = end <= sectors && backupAt > 0 ? await read(file, backupAt, TABLE_BYTES) : undefined;
  const backup = backupBytes === undefined ? undefined : ours(decodeTable(backupBytes, 'backup'));
  const table = primary ?? backup;
  if (table === undefined) return undefined;
  const torn: string[] = [];
  if (!isProtectiveRecord(await read(file, 0, SECTOR_BYTES))) torn.push('the first sector');
  if (primary === undefined) torn.push('the primary partition table');
  const isBackup = backupBytes === undefined || encodeTable(table).backup.equals(backupBytes);
  if (!isBackup) torn.push('the backup of the partition table');
  return { table, foreign: !isAsPlanned(table), torn };
}

function ours(table: PartitionTable | undefined): PartitionTable | undefined {
  return table !== undefined && isOurTable(table) ? table : undefined;
}

async function read(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await file.read(bytes, 0, length, position);
  return bytes.subarray(0, bytesRead);
}
