import type { InodeEntry, Xattr } from './entry.js';
import { fitTogether, inExt4Order } from './ext4-xattrs.js';
import type { ChangeMetadata } from './operation.js';

/** The attribute with the label of SELinux. */
const LABEL = Buffer.from('security.selinux');
/** The attribute that the kernel takes away when a file is written or changes its owner. */
const CAPABILITY = Buffer.from('security.capability');

/**
 * The change that gives the inode at `path`, which is as `have` says, the metadata of `want`; undefined
 * when there is nothing to do. Of a new inode nothing is known: `have` is undefined. `written` says that
 * its content was written or its names changed, and with them its time.
 */
export function metadataChange(
  path: Buffer,
  have: InodeEntry | undefined,
  want: InodeEntry,
  written = false,
): ChangeMetadata | undefined {
  const change: ChangeMetadata = { do: 'change', path, type: want.type, removeXattrs: [], setXattrs: [] };
  const owner = have?.uid !== want.uid || have.gid !== want.gid;
  if (owner) change.owner = { uid: want.uid, gid: want.gid };
  // A new owner, or new content, takes setuid, setgid and capabilities away from all but directories.
  const losesPrivileges = (owner || written) && want.type !== 'directory';
  const modeLost = losesPrivileges && (want.mode & 0o6000) !== 0;
  if (want.type !== 'symlink' && (have?.mode !== want.mode || modeLost)) change.mode = want.mode;
  const xattrs = have?.xattrs ?? [];
  if (xattrs.length + want.xattrs.length > 0) changeXattrs(change, xattrs, want.xattrs, losesPrivileges);
  if (have?.mtime !== want.mtime || written) change.mtime = want.mtime;
  if ((have?.flags ?? 0) !== want.flags) change.flags = want.flags;
  return isEmpty(change) ? undefined : change;
}

/**
 * Those that differ are set, unless there are so many that where they are now may leave no place for them: then all are
 * taken off and set anew. A label of SELinux stays, as it cannot be taken off where that is at work.
 */
function changeXattrs(
  change: ChangeMetadata,
  have: readonly Xattr[],
  want: readonly Xattr[],
  losesPrivileges: boolean,
): void {
  const changed = want.filter(({ name, value }) => {
    if (losesPrivileges && name.equals(CAPABILITY)) return true;
    return find(have, name)?.value.equals(value) !== true;
  });
  const isCramped = changed.length > 0 && !fitTogether(have, changed);
  const names = have.map(({ name }) => name);
  if (!isCramped) {
    change.removeXattrs = names.filter(name => find(want, name) === undefined);
    change.setXattrs = changed;
    return;
  }
  change.removeXattrs = names.filter(name => !name.equals(LABEL) || find(want, name) === undefined);
  change.setXattrs = inExt4Order(want);
}

function isEmpty({ owner, mode, mtime, flags, removeXattrs, setXattrs }: ChangeMetadata): boolean {
  if (removeXattrs.length > 0 || setXattrs.length > 0) return false;
  return owner === undefined && mode === undefined && mtime === undefined && flags === undefined;
}

function find(xattrs: readonly Xattr[], name: Buffer): Xattr | undefined {
  return xattrs.find(xattr => xattr.name.equals(name));
}
