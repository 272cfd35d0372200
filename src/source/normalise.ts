import { normaliseAcl } from '../image/acl.js';
import type { EntryType, Xattr } from '../image/entry.js';
import { flagsFault, PRESERVED_FLAGS, SYMLINK_MODE } from '../image/entry.js';
import { ImageUnpackerError } from '../image/error.js';
import { MAX_TARGET_BYTES, MAX_XATTRS } from '../image/limits.js';
import { displayBytes } from '../image/path.js';
import { canonicalXattr, xattrFault } from '../image/xattr.js';
import { unsupported } from './fault.js';

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
  const { path, type } = entry;
  const flags = entry.flags & PRESERVED_FLAGS;
  const fault = flagsFault(type, flags);
  if (fault !== undefined) throw unsupported(path, fault);
  if ('target' in entry) checkTarget(path, entry.target as Buffer);
  const plain = { ...entry, flags, mode: type === 'symlink' ? SYMLINK_MODE : entry.mode };
  if (entry.xattrs.length === 0) return plain;
  const sorted = [...entry.xattrs].sort((a, b) => Buffer.compare(a.name, b.name));
  checkXattrs(entry, sorted);
  try {
    return { ...plain, ...normaliseAcl(plain.mode, sorted.map(canonicalXattr), type) };
  } catch (reason) {
    if (!(reason instanceof ImageUnpackerError)) throw reason;
    throw unsupported(path, `cannot be kept: ${reason.message}`, reason);
  }
}

function checkTarget(path: Buffer, target: Buffer): void {
  if (target.length > 0 && target.length <= MAX_TARGET_BYTES && !target.includes(0)) return;
  throw unsupported(
    path,
    `has a symbolic link target that is empty, holds a NUL or is over ${String(MAX_TARGET_BYTES)} bytes`,
  );
}

function checkXattrs({ path, type }: { path: Buffer; type: EntryType }, xattrs: readonly Xattr[]): void {
  if (xattrs.length > MAX_XATTRS) throw unsupported(path, 'has more extended attributes than Linux holds');
  for (const [at, xattr] of xattrs.entries()) {
    const fault = xattrFault(type, xattr);
    if (fault !== undefined) throw unsupported(path, fault);
    if (at > 0 && xattrs[at - 1]!.name.equals(xattr.name))
      throw unsupported(path, `has the extended attribute ${displayBytes(xattr.name)} twice`);
  }
}
