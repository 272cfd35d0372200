import type { InodeEntry, Xattr } from './entry.js';
import type { ChangeMetadata } from './operation.js';

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
  const before = have?.xattrs ?? [];
  change.removeXattrs = before.map(({ name }) => name).filter(name => find(want.xattrs, name) === undefined);
  change.setXattrs = want.xattrs.filter(({ name, value }) => {
    if (losesPrivileges && name.equals(CAPABILITY)) return true;
    return find(before, name)?.value.equals(value) !== true;
  });
  if (have?.mtime !== want.mtime || written) change.mtime = want.mtime;
  if ((have?.flags ?? 0) !== want.flags) change.flags = want.flags;
  return isEmpty(change) ? undefined : change;
}

function isEmpty(change: ChangeMetadata): boolean {
  const { owner, mode, mtime, flags, removeXattrs, setXattrs } = change;
  const fields = [owner, mode, mtime, flags];
  return fields.every(field => field === undefined) && removeXattrs.length === 0 && setXattrs.length === 0;
}

function find(xattrs: readonly Xattr[], name: Buffer): Xattr | undefined {
  return xattrs.find(xattr => xattr.name.equals(name));
}
