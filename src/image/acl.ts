import type { EntryType, Xattr } from './entry.js';
import { ImageUnpackerError } from './error.js';

/*
 * POSIX access control lists as the kernel shows them in xattrs (linux/posix_acl_xattr.h), little endian:
 *
 *   value:   u32 version = 2, entry*
 *   entry:   u16 tag, u16 permissions (4 read, 2 write, 1 execute), u32 id
 *
 * Entries stand in the order of their tags. Only the tags `user` and `group` have an id; the others have
 * `NO_ID`. The access ACL and the permission bits of the mode are one thing: the kernel keeps them in
 * step, and keeps no ACL that says no more than the mode.
 */

export const ACL_TAGS = {
  owner: 0x01,
  user: 0x02,
  owningGroup: 0x04,
  group: 0x08,
  mask: 0x10,
  other: 0x20,
} as const;

export type AclTag = (typeof ACL_TAGS)[keyof typeof ACL_TAGS];

export interface AclEntry {
  tag: AclTag;
  /** Of a user or group; 0 for the other tags. */
  id: number;
  /** Read 4, write 2, execute 1. */
  permissions: number;
}

/** The xattrs that hold ACLs. */
export const ACCESS_ACL = 'system.posix_acl_access';
export const DEFAULT_ACL = 'system.posix_acl_default';

const VERSION = 2;
const HEADER_BYTES = 4;
const ENTRY_BYTES = 8;
const NO_ID = 0xffffffff;
const TAGS: ReadonlySet<number> = new Set(Object.values(ACL_TAGS));

/** Encodes the entries of an ACL as they stand. */
export function encodeAcl(entries: readonly AclEntry[]): Buffer {
  const value = Buffer.alloc(HEADER_BYTES + ENTRY_BYTES * entries.length);
  value.writeUInt32LE(VERSION, 0);
  entries.forEach(({ tag, id, permissions }, index) => {
    const at = HEADER_BYTES + ENTRY_BYTES * index;
    value.writeUInt16LE(tag, at);
    value.writeUInt16LE(permissions, at + 2);
    value.writeUInt32LE(hasId(tag) ? id : NO_ID, at + 4);
  });
  return value;
}

/**
 * Decodes the value of an ACL's xattr; no entries mean that there is no ACL. Throws `IMAGE_INVALID`
 * for a value that the kernel would not take.
 */
export function decodeAcl(value: Buffer): AclEntry[] {
  if (value.length < HEADER_BYTES || (value.length - HEADER_BYTES) % ENTRY_BYTES !== 0) {
    throw invalid('is not made of entries');
  }
  if (value.readUInt32LE(0) !== VERSION) throw invalid('is not of version 2');
  const entries: AclEntry[] = [];
  for (let at = HEADER_BYTES; at < value.length; at += ENTRY_BYTES) {
    const tag = value.readUInt16LE(at);
    const permissions = value.readUInt16LE(at + 2);
    if (!isTag(tag) || permissions > 7) throw invalid('has an entry of an unknown kind');
    entries.push({ tag, id: hasId(tag) ? value.readUInt32LE(at + 4) : 0, permissions });
  }
  if (entries.length > 0) checkAcl(entries);
  return entries;
}

/** What the kernel's posix_acl_valid asks for, and that ids are ones that it maps. */
function checkAcl(entries: readonly AclEntry[]): void {
  let last = 0;
  for (const { tag, id } of entries) {
    if (tag < last || (tag === last && !hasId(tag))) throw invalid('has entries out of order');
    if (id === NO_ID) throw invalid('names a user or group that cannot be');
    last = tag;
  }
  const has = (tag: AclTag): boolean => entries.some(entry => entry.tag === tag);
  const { owner, user, owningGroup, group, mask, other } = ACL_TAGS;
  if (![owner, owningGroup, other].every(has)) throw invalid('lacks the owner, the owning group or others');
  if ((has(user) || has(group)) && !has(mask)) throw invalid('names a user or group and has no mask');
}

/**
 * Brings the mode and the ACLs of an inode into the one form in which the kernel shows them. An access
 * ACL that says no more than a mode becomes the permission bits; another one stays, and gives the bits
 * of owner and others, and its mask those of the group. Values are encoded anew, empty ACLs go.
 *
 * Throws `IMAGE_INVALID` for an ACL that the kernel would not take, a default ACL on anything but a
 * directory, or any ACL on a symlink.
 */
export function normaliseAcl(
  mode: number,
  xattrs: readonly Xattr[],
  type: EntryType,
): { mode: number; xattrs: readonly Xattr[] } {
  const kept: Xattr[] = [];
  let permissions = mode;
  for (const xattr of xattrs) {
    const name = xattr.name.toString('latin1');
    if (name !== ACCESS_ACL && name !== DEFAULT_ACL) {
      kept.push(xattr);
      continue;
    }
    const entries = decodeAcl(xattr.value);
    if (entries.length === 0) continue;
    if (type === 'symlink') throw invalid('is on a symlink, which can have none');
    if (name === ACCESS_ACL) permissions = withPermissions(mode, entries);
    else if (type !== 'directory') throw invalid('is a default ACL, and not on a directory');
    const saysMore = name === DEFAULT_ACL || entries.length > 3;
    if (saysMore) kept.push({ name: xattr.name, value: encodeAcl(entries) });
  }
  return { mode: permissions, xattrs: kept };
}

function withPermissions(mode: number, entries: readonly AclEntry[]): number {
  const of = (tag: AclTag): number | undefined => entries.find(entry => entry.tag === tag)?.permissions;
  const owner = of(ACL_TAGS.owner) ?? 0;
  const group = of(ACL_TAGS.mask) ?? of(ACL_TAGS.owningGroup) ?? 0;
  const other = of(ACL_TAGS.other) ?? 0;
  return (mode & ~0o777) | (owner << 6) | (group << 3) | other;
}

function hasId(tag: number): boolean {
  return tag === ACL_TAGS.user || tag === ACL_TAGS.group;
}

function isTag(tag: number): tag is AclTag {
  return TAGS.has(tag);
}

function invalid(why: string): ImageUnpackerError {
  return new ImageUnpackerError('IMAGE_INVALID', `The access control list ${why}; set it anew with setfacl`);
}
