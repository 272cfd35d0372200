import { crc32 } from 'node:zlib';

/*
 * The GUID partition table (UEFI Specification 2.10, chapter 5), little endian, in sectors of 512 bytes:
 *
 *   disk      = protective head entries … entries head     the second pair is the backup, in the last 33 sectors
 *   protective= 446 bytes of boot code, 4 entries of 16 bytes, 55 AA
 *               the first entry is of type EE and spans the disk, as far as 32 bits count sectors
 *   head      = "EFI PART" revision:u32 (1.0) size:u32 (92) crc:u32 0:u32 own:u64 other:u64 first:u64 last:u64
 *               disk:guid entries:u64 count:u32 (128) size:u32 (128) crc:u32 zeros
 *               own, other: where this head and its copy are; first, last: sectors for partitions; entries: where
 *               they begin; the first crc is of the head with zeros in its place, the second of the entries
 *   entries   = 128 times: type:guid id:guid first:u64 last:u64 attributes:u64 name (36 characters of UTF-16)
 *   guid      = u32 u16 u16 8 bytes                        as `8-4-4-4-12` reads, the first three swapped
 */

export const SECTOR_BYTES = 512;
/** Sectors that a head and its entries take. */
export const TABLE_SECTORS = 33;
/** The protective record and the primary table. */
export const PRIMARY_SECTORS = 1 + TABLE_SECTORS;

const SIGNATURE = Buffer.from('EFI PART');
const REVISION = 0x0001_0000;
const HEAD_BYTES = 92;
const ENTRIES = 128;
const ENTRY_BYTES = 128;
const ENTRY_SECTORS = (ENTRIES * ENTRY_BYTES) / SECTOR_BYTES;
const NAME_BYTES = 72;
const NO_TYPE = '00000000-0000-0000-0000-000000000000';
const RECORDS_OFFSET = 446;
const PROTECTIVE_TYPE = 0xee;

/** A partition, in sectors. */
export interface Partition {
  number: number;
  /** GUIDs are text: 8-4-4-4-12 lower-case hex digits. */
  type: string;
  id: string;
  first: bigint;
  /** The last sector that belongs to it. */
  last: bigint;
  attributes: bigint;
  name: string;
}

/** A partition table of a disk of `sectors`. */
export interface PartitionTable {
  id: string;
  sectors: bigint;
  partitions: readonly Partition[];
}

/** Where the two copies of a table stand, as they are on the disk. */
export interface EncodedTable {
  /** For sector 1 and on. */
  primary: Buffer;
  /** For the last sectors. */
  backup: Buffer;
}

/** The first sector for partitions, and the last. */
export function usableSectors(sectors: bigint): { first: bigint; last: bigint } {
  return { first: BigInt(PRIMARY_SECTORS), last: sectors - BigInt(TABLE_SECTORS) - 1n };
}

/** The sector before all else, with zeros for boot code. */
export function protectiveRecord(sectors: bigint): Buffer {
  const record = Buffer.alloc(SECTOR_BYTES);
  const spanned = sectors - 1n < 0xffff_ffffn ? Number(sectors - 1n) : 0xffff_ffff;
  record.set([0, 0, 2, 0, PROTECTIVE_TYPE, 0xff, 0xff, 0xff], RECORDS_OFFSET);
  record.writeUInt32LE(1, RECORDS_OFFSET + 8);
  record.writeUInt32LE(spanned, RECORDS_OFFSET + 12);
  record.writeUInt16LE(0xaa55, 510);
  return record;
}

/** Whether a sector is the protective record of a disk with a GUID partition table. */
export function isProtectiveRecord(record: Buffer): boolean {
  const types = [0, 1, 2, 3].map(at => record[RECORDS_OFFSET + at * 16 + 4]!);
  return record.readUInt16LE(510) === 0xaa55 && types.includes(PROTECTIVE_TYPE);
}

/** Both copies of a table. */
export function encodeTable(table: PartitionTable): EncodedTable {
  const entries = Buffer.alloc(ENTRIES * ENTRY_BYTES);
  for (const partition of table.partitions) {
    const at = (partition.number - 1) * ENTRY_BYTES;
    encodeEntry(partition).copy(entries, at);
  }
  const last = table.sectors - 1n;
  const primary = encodeHead(table, entries, { own: 1n, other: last, entries: 2n });
  const backup = encodeHead(table, entries, { own: last, other: 1n, entries: last - BigInt(ENTRY_SECTORS) });
  return { primary: Buffer.concat([primary, entries]), backup: Buffer.concat([entries, backup]) };
}

function encodeEntry({ type, id, first, last, attributes, name }: Partition): Buffer {
  const entry = Buffer.alloc(ENTRY_BYTES);
  encodeGuid(type).copy(entry, 0);
  encodeGuid(id).copy(entry, 16);
  entry.writeBigUInt64LE(first, 32);
  entry.writeBigUInt64LE(last, 40);
  entry.writeBigUInt64LE(attributes, 48);
  Buffer.from(name, 'utf16le').copy(entry, 56, 0, NAME_BYTES);
  return entry;
}

function encodeHead(
  { id, sectors }: PartitionTable,
  entries: Buffer,
  places: { own: bigint; other: bigint; entries: bigint },
): Buffer {
  const head = Buffer.alloc(SECTOR_BYTES);
  const usable = usableSectors(sectors);
  SIGNATURE.copy(head);
  head.writeUInt32LE(REVISION, 8);
  head.writeUInt32LE(HEAD_BYTES, 12);
  head.writeBigUInt64LE(places.own, 24);
  head.writeBigUInt64LE(places.other, 32);
  head.writeBigUInt64LE(usable.first, 40);
  head.writeBigUInt64LE(usable.last, 48);
  encodeGuid(id).copy(head, 56);
  head.writeBigUInt64LE(places.entries, 72);
  head.writeUInt32LE(ENTRIES, 80);
  head.writeUInt32LE(ENTRY_BYTES, 84);
  head.writeUInt32LE(crc32(entries), 88);
  head.writeUInt32LE(crc32(head.subarray(0, HEAD_BYTES)), 16);
  return head;
}

/**
 * The table of which `copy` is a primary copy (sectors 1 and on) or a backup (the last sectors of the disk that it
 * was made for); undefined when it is not whole, or not as `encodeTable` makes tables.
 */
export function decodeTable(copy: Buffer, which: keyof EncodedTable): PartitionTable | undefined {
  const headAt = which === 'primary' ? 0 : ENTRY_SECTORS * SECTOR_BYTES;
  const head = copy.subarray(headAt, headAt + SECTOR_BYTES);
  if (head.length < SECTOR_BYTES || !head.subarray(0, 8).equals(SIGNATURE)) return undefined;
  const last = head.readBigUInt64LE(which === 'primary' ? 32 : 24);
  const table = {
    id: decodeGuid(head.subarray(56, 72)),
    sectors: last + 1n,
    partitions: decodeEntries(which === 'primary' ? copy.subarray(SECTOR_BYTES) : copy),
  };
  if (table.sectors < BigInt(PRIMARY_SECTORS + TABLE_SECTORS)) return undefined;
  // There is one encoding of a table; checksums and all that stands in two places are right when it is that.
  return encodeTable(table)[which].equals(copy) ? table : undefined;
}

function decodeEntries(entries: Buffer): Partition[] {
  const partitions: Partition[] = [];
  for (let number = 1; number <= ENTRIES; number++) {
    const entry = entries.subarray((number - 1) * ENTRY_BYTES, number * ENTRY_BYTES);
    if (entry.length < ENTRY_BYTES) break;
    const type = decodeGuid(entry);
    if (type === NO_TYPE) continue;
    partitions.push({
      number,
      type,
      id: decodeGuid(entry.subarray(16)),
      first: entry.readBigUInt64LE(32),
      last: entry.readBigUInt64LE(40),
      attributes: entry.readBigUInt64LE(48),
      name: entry
        .subarray(56, 56 + NAME_BYTES)
        .toString('utf16le')
        .replace(/\0+$/, ''),
    });
  }
  return partitions;
}

/** The 16 bytes of a GUID that is written as text. */
export function encodeGuid(guid: string): Buffer {
  return swapped(Buffer.from(guid.replaceAll('-', ''), 'hex'));
}

function decodeGuid(bytes: Buffer): string {
  const hex = swapped(Buffer.from(bytes.subarray(0, 16))).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** Swaps the first three fields of a GUID, in place, from one order of bytes to the other. */
function swapped(bytes: Buffer): Buffer {
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return bytes;
}
