import { normaliseAcl } from '../image/acl.js';
import type { EntryType, Xattr } from '../image/entry.js';
import { PRESERVED_FLAGS } from '../image/entry.js';
import { ImageUnpackerError } from '../image/error.js';
import {
  MAX_TARGET_BYTES,
  MAX_XATTR_NAME_BYTES,
  MAX_XATTR_VALUE_BYTES,
  MAX_XATTRS,
} from '../image/limits.js';
import { displayBytes } from '../image/path.js';
import { unsupported } from './fault.js';

/** The extended attributes that every Linux file system of ours holds (xattr(7)). */
const XATTR_NAMES = /^(?:user\..+|trusted\..+|security\..+|system\.posix_acl_(?:access|default))$/s;

/** What of an entry may come in more than one form. */
interface Normalised {
  mode: number;
  flags: number;
  xattrs: readonly Xattr[];
}

/**
 * The one form in which an image holds the mode, the flags and the xattrs of an entry. Throws
 * `SOURCE_UNSUPPORTED`, naming the entry, for what no image can hold.
 */
export function normalise<E extends Normalised & { path: Buffer; type: Exclude<EntryType, 'link'> }>(
  entry: E,
): E {
  const flags = entry.flags & PRESERVED_FLAGS;
  if ('target' in entry) checkTarget(entry.path, entry.target as Buffer);
  if (entry.xattrs.length === 0) return { ...entry, flags };
  const sorted = [...entry.xattrs].sort((a, b) => Buffer.compare(a.name, b.name));
  checkXattrs(entry.path, sorted);
  try {
    const { mode, xattrs } = normaliseAcl(entry.mode, sorted, entry.type);
    return { ...entry, mode, flags, xattrs };
  } catch (reason) {
    if (!(reason instanceof ImageUnpackerError)) throw reason;
    throw unsupported(entry.path, `cannot be kept: ${reason.message}`, reason);
  }
}

function checkTarget(path: Buffer, target: Buffer): void {
  if (target.length > 0 && target.length <= MAX_TARGET_BYTES && !target.includes(0)) return;
  throw unsupported(
    path,
    `has a symbolic link target that is empty, holds a NUL or is over ${String(MAX_TARGET_BYTES)} bytes`,
  );
}

function checkXattrs(path: Buffer, xattrs: readonly Xattr[]): void {
  if (xattrs.length > MAX_XATTRS) throw unsupported(path, 'has more extended attributes than Linux holds');
  for (const [at, { name, value }] of xattrs.entries()) {
    const shown = `the extended attribute ${displayBytes(name)}`;
    if (!XATTR_NAMES.test(name.toString('latin1')) || name.includes(0)) {
      throw unsupported(path, `has ${shown}; only user.*, trusted.*, security.* and POSIX ACLs can be kept`);
    }
    if (name.length > MAX_XATTR_NAME_BYTES || value.length > MAX_XATTR_VALUE_BYTES) {
      throw unsupported(path, `has ${shown}, which is larger than Linux holds`);
    }
    if (at > 0 && xattrs[at - 1]!.name.equals(name)) throw unsupported(path, `has ${shown} twice`);
  }
}
