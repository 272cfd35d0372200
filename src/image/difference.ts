import type { DeviceEntry, FileEntry, Hole, InodeEntry, LinkableEntry, Xattr } from './entry.js';
import { displayBytes } from './path.js';

/**
 * In what two inodes at the same path differ: `type`, `mode`, `owner`, `mtime`, `size`, `content`, `holes`,
 * `target`, `device`, `links`, `xattr:NAME`, `flags`, in this order. Of inodes of different types only what
 * every inode has is compared besides.
 */
export function differencesOf(have: InodeEntry, want: InodeEntry): string[] {
  const what: string[] = [];
  if (have.type !== want.type) what.push('type');
  if (have.mode !== want.mode) what.push('mode');
  if (have.uid !== want.uid || have.gid !== want.gid) what.push('owner');
  if (have.mtime !== want.mtime) what.push('mtime');
  if (have.type === 'file' && want.type === 'file') what.push(...fileDifferences(have, want));
  if (have.type === 'symlink' && want.type === 'symlink' && !have.target.equals(want.target))
    what.push('target');
  if (isDevice(have) && isDevice(want) && (have.major !== want.major || have.minor !== want.minor)) {
    what.push('device');
  }
  if (have.type !== 'directory' && want.type !== 'directory' && !sameNames(have, want)) what.push('links');
  what.push(...xattrDifferences(have.xattrs, want.xattrs));
  if (have.flags !== want.flags) what.push('flags');
  return what;
}

function fileDifferences(have: FileEntry, want: FileEntry): string[] {
  const what: string[] = [];
  if (have.size !== want.size) what.push('size');
  const sameContent = have.digest === null ? want.digest === null : want.digest?.equals(have.digest) === true;
  if (!sameContent) what.push('content');
  if (!sameHoles(have.holes, want.holes)) what.push('holes');
  return what;
}

/** Whether two files have the same holes. */
export function sameHoles(a: readonly Hole[], b: readonly Hole[]): boolean {
  return (
    a.length === b.length && a.every((hole, at) => hole.start === b[at]!.start && hole.count === b[at]!.count)
  );
}

function isDevice(entry: InodeEntry): entry is DeviceEntry {
  return entry.type === 'character' || entry.type === 'block';
}

function sameNames(a: LinkableEntry, b: LinkableEntry): boolean {
  return a.names.length === b.names.length && a.names.every((name, at) => name.equals(b.names[at]!));
}

/** Both sides are sorted by name. */
function xattrDifferences(have: readonly Xattr[], want: readonly Xattr[]): string[] {
  const what: string[] = [];
  for (let i = 0, j = 0; i < have.length || j < want.length;) {
    const [a, b] = [have[i], want[j]];
    const order = a === undefined ? 1 : b === undefined ? -1 : Buffer.compare(a.name, b.name);
    if (order !== 0 || !a!.value.equals(b!.value))
      what.push(`xattr:${displayBytes((order <= 0 ? a : b)!.name)}`);
    if (order <= 0) i++;
    if (order >= 0) j++;
  }
  return what;
}
