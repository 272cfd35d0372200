import type { Xattr } from '../../image/entry.js';
import { MAX_XATTR_VALUE_BYTES } from '../../image/limits.js';
import { crc32c, crc32cOfUint32 } from './crc32c.js';
import { damaged } from './damage.js';
import { decodeStoredAcl } from './stored-acl.js';

/*
 * Extended attributes (Linux documentation, filesystems/ext4/attributes.rst):
 *
 *   block  = 0xEA020000 u32, users u32, 1 u32, hash u32, CRC-32C u32, 12 bytes, entries, slack, values
 *   body   = 0xEA020000 u32, entries, slack, values               (behind the fields of an inode)
 *   entries = entry ... 0 u32
 *   entry  = name length u8, prefix u8, value offset u16, value inode u32, value length u32, hash u32,
 *            name, filled up to a multiple of 4
 *
 * The offset of a value counts from the start of the block, or from the first entry of a body. The
 * checksum of a block goes over the number of the block (u64) and the block with zero for a checksum.
 */

const MAGIC = 0xea020000;
const BLOCK_HEADER_SIZE = 32;
const BODY_HEADER_SIZE = 4;
const ENTRY_SIZE = 16;
const CHECKSUM_OFFSET = 0x10;

/** Prefixes by number; those that end in a full stop are followed by a name, the others are whole. */
const PREFIXES: Readonly<Record<number, string>> = {
  1: 'user.',
  2: 'system.posix_acl_access',
  3: 'system.posix_acl_default',
  4: 'trusted.',
  6: 'security.',
  7: 'system.',
};
const ACL_PREFIXES = [2, 3];

/** An attribute whose value is the content of an inode, not read yet. */
export interface ValueInInode {
  name: Buffer;
  inode: number;
  size: number;
}

/** Attributes as they are stored in one place. */
export interface StoredXattrs {
  xattrs: Xattr[];
  inInodes: ValueInInode[];
}

/** An entry: where it stands and where its value does (both from the start of the area). */
interface StoredEntry {
  at: number;
  end: number;
  nameLength: number;
  prefix: number;
  valueInode: number;
  valueSize: number;
  valueStart: number;
  valueEnd: number;
}

/** An area of attributes: where its entries begin, and from where offsets of values count. */
interface Area {
  bytes: Buffer;
  entries: number;
  valueBase: number;
}

/** Decodes the attributes behind the fields of an inode; there may be none. Throws `VOLUME_DAMAGED`. */
export function decodeBodyXattrs(bytes: Buffer): StoredXattrs {
  return decodeArea(bodyArea(bytes));
}

/** Decodes and checks the attributes in block `number`. Throws `VOLUME_DAMAGED`. */
export function decodeXattrBlock(
  bytes: Buffer,
  number: number,
  seed: number,
): StoredXattrs & { users: number } {
  if (bytes.readUInt32LE(0) !== MAGIC || bytes.readUInt32LE(8) !== 1) {
    throw damaged(`block ${String(number)} holds no attributes`);
  }
  if (xattrBlockChecksum(bytes, number, seed) !== bytes.readUInt32LE(CHECKSUM_OFFSET)) {
    throw damaged(`the attribute block ${String(number)} does not match its checksum`);
  }
  return { ...decodeArea(blockArea(bytes)), users: bytes.readUInt32LE(4) };
}

function bodyArea(bytes: Buffer): Area | undefined {
  if (bytes.length < BODY_HEADER_SIZE + 4 || bytes.readUInt32LE(0) !== MAGIC) return undefined;
  return { bytes, entries: BODY_HEADER_SIZE, valueBase: BODY_HEADER_SIZE };
}

function blockArea(bytes: Buffer): Area {
  return { bytes, entries: BLOCK_HEADER_SIZE, valueBase: 0 };
}

function decodeArea(area: Area | undefined): StoredXattrs {
  const stored: StoredXattrs = { xattrs: [], inInodes: [] };
  if (area === undefined) return stored;
  for (const entry of entriesOf(area)) {
    const name = nameOf(area.bytes, entry);
    if (entry.valueInode !== 0) {
      stored.inInodes.push({ name, inode: entry.valueInode, size: entry.valueSize });
      continue;
    }
    const value = Buffer.from(area.bytes.subarray(entry.valueStart, entry.valueStart + entry.valueSize));
    stored.xattrs.push({ name, value: ACL_PREFIXES.includes(entry.prefix) ? decodeStoredAcl(value) : value });
  }
  return stored;
}

function nameOf(bytes: Buffer, { at, prefix, nameLength }: StoredEntry): Buffer {
  const start = PREFIXES[prefix];
  if (start === undefined || start.endsWith('.') !== nameLength > 0) {
    throw damaged(`an attribute has the unknown prefix ${String(prefix)}`);
  }
  const name = bytes.subarray(at + ENTRY_SIZE, at + ENTRY_SIZE + nameLength);
  if (name.includes(0)) throw damaged('the name of an attribute holds a zero byte');
  return Buffer.concat([Buffer.from(start), name]);
}

function entriesOf(area: Area): StoredEntry[] {
  const { bytes } = area;
  const entries: StoredEntry[] = [];
  let at = area.entries;
  for (; ; at = entries.at(-1)!.end) {
    if (at + 4 > bytes.length) throw damaged('the attributes have no end');
    if (bytes.readUInt32LE(at) === 0) break;
    if (at + ENTRY_SIZE > bytes.length) throw damaged('the attributes have no end');
    entries.push(decodeEntry(area, at));
  }
  checkValues(entries, at + 4, bytes.length);
  return entries;
}

function decodeEntry({ bytes, valueBase }: Area, at: number): StoredEntry {
  const nameLength = bytes[at]!;
  const valueInode = bytes.readUInt32LE(at + 4);
  const valueSize = bytes.readUInt32LE(at + 8);
  if (valueSize > MAX_XATTR_VALUE_BYTES) throw damaged(`an attribute of ${String(valueSize)} bytes`);
  const inPlace = valueInode === 0 && valueSize > 0;
  const valueStart = inPlace ? valueBase + bytes.readUInt16LE(at + 2) : 0;
  return {
    at,
    end: at + ENTRY_SIZE + padded(nameLength),
    nameLength,
    prefix: bytes[at + 1]!,
    valueInode,
    valueSize,
    valueStart,
    valueEnd: inPlace ? valueStart + padded(valueSize) : 0,
  };
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

/** Values stand behind the entries, within the area, and apart from each other. */
function checkValues(entries: readonly StoredEntry[], start: number, end: number): void {
  let next = start;
  for (const entry of [...entries].sort((a, b) => a.valueStart - b.valueStart)) {
    if (entry.valueEnd === 0) continue;
    if (entry.valueStart < next || entry.valueEnd > end) {
      throw damaged('the value of an attribute stands where it must not');
    }
    next = entry.valueEnd;
  }
}

function xattrBlockChecksum(bytes: Buffer, number: number, seed: number): number {
  let crc = crc32cOfUint32(seed, number % 2 ** 32);
  crc = crc32cOfUint32(crc, Math.floor(number / 2 ** 32));
  crc = crc32c(crc, bytes, 0, CHECKSUM_OFFSET);
  crc = crc32cOfUint32(crc, 0);
  return crc32c(crc, bytes, CHECKSUM_OFFSET + 4);
}

/** Zeroes what the attributes in an inode do not use: all of it, if there are none. */
export function cleanBodyXattrs(bytes: Buffer): void {
  const area = bodyArea(bytes);
  if (area === undefined) bytes.fill(0);
  else cleanArea(area);
}

/** Zeroes what a decoded attribute block does not use, and renews its checksum. */
export function cleanXattrBlock(bytes: Buffer, number: number, seed: number): void {
  cleanArea(blockArea(bytes));
  bytes.writeUInt32LE(xattrBlockChecksum(bytes, number, seed), CHECKSUM_OFFSET);
}

function cleanArea(area: Area): void {
  const { bytes } = area;
  const used = Buffer.from(bytes);
  const entries = entriesOf(area);
  bytes.fill(0, area.entries);
  for (const { at, nameLength, valueStart, valueSize } of entries) {
    used.copy(bytes, at, at, at + ENTRY_SIZE + nameLength);
    used.copy(bytes, valueStart, valueStart, valueStart + valueSize);
  }
}
