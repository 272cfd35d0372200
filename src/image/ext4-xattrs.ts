import { ACCESS_ACL, DEFAULT_ACL, decodeAcl } from './acl.js';
import type { Xattr } from './entry.js';

/*
 * Where ext4 puts the extended attributes of an inode (fs/ext4/xattr.c), and so whether it can hold them:
 *
 *   - behind the fields of the inode, in what is left of it, or else in one block of 4096 bytes;
 *   - each takes an entry of 16 bytes and its name without the prefix, and its value, both filled up to a multiple of 4;
 *     either place ends with 4 bytes of zeros, after a head of 4 or 32 bytes;
 *   - one that is set goes into the inode if it fits there, then into the block if it fits there. Nothing is moved
 *     to make room;
 *   - with the feature ea_inode, a value that fits in neither stands in an inode of its own, and so does every value too
 *     large for a block. Then 512 bytes of the block are kept free of values.
 *
 * So it depends on their order whether all of them fit. `inExt4Order` has an order in which they do if any has.
 */

/** What of an ext4 file system decides which attributes it can hold. */
export interface Ext4XattrRoom {
  /** The size of an inode, and of its fields. */
  inodeBytes: number;
  fieldBytes: number;
  /** The feature ea_inode. */
  valuesInInodes: boolean;
}

/** The room of the file systems that are made here. */
export const OUR_XATTR_ROOM: Ext4XattrRoom = { inodeBytes: 256, fieldBytes: 160, valuesInInodes: false };

const BLOCK_BYTES = 4096;
const BLOCK_HEAD_BYTES = 32;
const INODE_HEAD_BYTES = 4;
const END_BYTES = 4;
const ENTRY_BYTES = 16;
/** Entries and values in a block have so much room together. */
const BLOCK_ROOM_BYTES = BLOCK_BYTES - BLOCK_HEAD_BYTES - END_BYTES;
/** A larger value stands in an inode of its own, where there can be one (EXT4_XATTR_MIN_LARGE_EA_SIZE). */
const LARGE_VALUE_BYTES = BLOCK_ROOM_BYTES - padded(ENTRY_BYTES + 3);
/** What values leave of the block then (EXT4_XATTR_BLOCK_RESERVE). */
const RESERVED_BYTES = 512;
/** Prefixes that are stored as a number. */
const PREFIXES = ['user.', 'trusted.', 'security.'];

/** How many bytes some attributes take, each in either of the two places. */
export function ext4XattrBytes(xattrs: readonly Xattr[]): number {
  return xattrs.reduce((sum, xattr) => sum + entryBytes(xattr) + valueBytes(xattr), 0);
}

/**
 * Whether attributes may be changed one after the other, in any order, with no regard to where they are: those that
 * are there and those that are to be set fit in the block together.
 */
export function fitTogether(there: readonly Xattr[], set: readonly Xattr[]): boolean {
  return ext4XattrBytes(there) + ext4XattrBytes(set) <= BLOCK_ROOM_BYTES;
}

/** Attributes in the order in which an inode that has none, of the size that is made here, takes all of them if it can. */
export function inExt4Order(xattrs: readonly Xattr[]): readonly Xattr[] {
  const total = ext4XattrBytes(xattrs);
  if (total <= BLOCK_ROOM_BYTES) return xattrs;
  const first = fullest(xattrs, inodeRoom(OUR_XATTR_ROOM));
  return [...first, ...xattrs.filter(xattr => !first.has(xattr))];
}

/** Whether an inode that has no attributes can take these. */
export function fitExt4(xattrs: readonly Xattr[], room: Ext4XattrRoom): boolean {
  let inode = inodeRoom(room);
  let block = BLOCK_ROOM_BYTES;
  let values = 0;
  for (const xattr of inExt4Order(xattrs)) {
    const [entry, value] = [entryBytes(xattr), valueBytes(xattr)];
    const inPlace = entry + value;
    const isLarge = room.valuesInInodes && value > LARGE_VALUE_BYTES;
    const isReserved = room.valuesInInodes && value > 0 && BLOCK_BYTES - values - value < RESERVED_BYTES;
    if (!isLarge && inPlace <= inode) {
      inode -= inPlace;
    } else if (!isLarge && inPlace <= block && !isReserved) {
      block -= inPlace;
      values += value;
    } else if (room.valuesInInodes && value > 0 && entry <= inode) {
      inode -= entry;
    } else if (room.valuesInInodes && value > 0 && entry <= block) {
      block -= entry;
    } else {
      return false;
    }
  }
  return true;
}

/** Whether attributes that are set on a new inode all stand in the inode itself. */
export function fitInode(xattrs: readonly Xattr[]): boolean {
  return ext4XattrBytes(xattrs) <= inodeRoom(OUR_XATTR_ROOM);
}

function inodeRoom({ inodeBytes, fieldBytes }: Ext4XattrRoom): number {
  return Math.max(0, inodeBytes - fieldBytes - INODE_HEAD_BYTES - END_BYTES);
}

function entryBytes({ name }: Xattr): number {
  const text = name.toString('latin1');
  if (isAcl(text)) return ENTRY_BYTES;
  const prefix = PREFIXES.find(each => text.startsWith(each)) ?? '';
  return padded(ENTRY_BYTES + name.length - prefix.length);
}

/** An access control list is stored in a shorter form (fs/ext4/acl.h): users and groups take 8 bytes, others 4. */
function valueBytes({ name, value }: Xattr): number {
  if (!isAcl(name.toString('latin1'))) return padded(value.length);
  const count = decodeAcl(value).length;
  return 4 + 4 * Math.min(count, 4) + 8 * Math.max(count - 4, 0);
}

function isAcl(name: string): boolean {
  return name === ACCESS_ACL || name === DEFAULT_ACL;
}

function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}

/** Those attributes that fill so much room as far as can be: a knapsack in which size is value. */
function fullest(xattrs: readonly Xattr[], room: number): Set<Xattr> {
  const reached = new Map<number, Xattr[]>([[0, []]]);
  for (const xattr of xattrs) {
    const bytes = ext4XattrBytes([xattr]);
    for (const [sum, taken] of [...reached]) {
      if (sum + bytes <= room && !reached.has(sum + bytes)) reached.set(sum + bytes, [...taken, xattr]);
    }
  }
  return new Set(reached.get(Math.max(...reached.keys())));
}
