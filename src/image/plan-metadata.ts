import type { DirectoryEntry, InodeEntry, LinkableEntry } from './entry.js';
import { BLOCKING_FLAGS, INODE_FLAGS } from './entry.js';
import type { Match } from './inode-match.js';
import { keyOf } from './inode-match.js';
import { metadataChange } from './metadata-change.js';
import type { Operation } from './operation.js';
import { comparePaths } from './path.js';
import type { Change } from './plan.js';
import type { NamePlan } from './plan-names.js';

/** A directory whose names change: as it is, and as it is wanted. */
export interface TouchedDirectory {
  have?: DirectoryEntry | undefined;
  want?: DirectoryEntry | undefined;
}

/** How another content is written into an inode. */
const REWRITES = { rewritten: 'rewrite', replaced: 'replace' } as const;
/** Flags that a new inode takes over from its directory (EXT4_FL_INHERITED, of those that are preserved). */
const INHERITED_FLAGS = INODE_FLAGS.sync | INODE_FLAGS.nodump | INODE_FLAGS.noatime | INODE_FLAGS.dirsync;
/** The attribute that a new inode takes over from its directory. */
const DEFAULT_ACL = Buffer.from('system.posix_acl_default');

/** Step 2 of a plan. */
export interface Clearing {
  operations: Operation[];
  /** What each inode is like after it was cleared, by its path; those that were not are not there. */
  cleared: ReadonlyMap<string, InodeEntry>;
}

/** Plans to take off what will be touched whatever would get in the way. */
export function planClearing(
  changes: readonly Change[],
  directories: ReadonlyMap<string, TouchedDirectory>,
  changedDirectories: ReadonlySet<string>,
): Clearing {
  const operations: Operation[] = [];
  const cleared = new Map<string, InodeEntry>();
  const clear = (have: InodeEntry): void => {
    const key = keyOf(have.path);
    if (cleared.has(key)) return;
    const namesChange = have.type === 'directory' && changedDirectories.has(key);
    // No attribute can be taken off while there are flags in the way.
    const open = withoutFlags(have, namesChange ? BLOCKING_FLAGS | INHERITED_FLAGS : BLOCKING_FLAGS);
    const after = namesChange ? withoutDefaultAcl(open) : open;
    if (after === have) return;
    for (const change of [metadataChange(have.path, have, open), metadataChange(have.path, open, after)]) {
      if (change !== undefined) operations.push(change);
    }
    cleared.set(key, after);
  };
  for (const key of changedDirectories) {
    const have = directories.get(key)?.have;
    if (have !== undefined) clear(have);
  }
  for (const { have } of changes) if (have !== undefined && have.type !== 'link') clear(have);
  return { operations, cleared };
}

/** An inode without some flags; the same object where it has none of them. */
function withoutFlags(entry: InodeEntry, flags: number): InodeEntry {
  return (entry.flags & flags) === 0 ? entry : { ...entry, flags: entry.flags & ~flags };
}

/** An inode without a default ACL; the same object where it has none. */
function withoutDefaultAcl(entry: InodeEntry): InodeEntry {
  const xattrs = entry.xattrs.filter(({ name }) => !name.equals(DEFAULT_ACL));
  return xattrs.length === entry.xattrs.length ? entry : { ...entry, xattrs };
}

/** What is given to `planSettling`. */
export interface MetadataToPlan {
  changes: readonly Change[];
  directories: ReadonlyMap<string, TouchedDirectory>;
  matches: readonly Match[];
  made: readonly LinkableEntry[];
  /** Paths of inodes that have moved with a directory. */
  carried: readonly Buffer[];
  names: NamePlan;
  cleared: ReadonlyMap<string, InodeEntry>;
}

/** Step 10 of a plan: makes content and metadata right. Returns the paths of all inodes that were touched. */
export function planSettling(given: MetadataToPlan): { operations: Operation[]; touched: Buffer[] } {
  const operations: Operation[] = [];
  const touched: Buffer[] = [];
  const settle = (have: InodeEntry | undefined, want: InodeEntry, written: boolean): void => {
    const now = have && (given.cleared.get(keyOf(have.path)) ?? have);
    const change = metadataChange(want.path, now, want, written);
    if (change !== undefined) operations.push(change);
    touched.push(want.path);
  };
  const matches = [...given.matches].sort((a, b) => comparePaths(a.want.path, b.want.path));
  for (const entry of given.made) settle(undefined, entry, true);
  for (const { have, want, content } of matches) {
    if ((content === 'rewritten' || content === 'replaced') && want.type === 'file') {
      operations.push({ do: REWRITES[content], path: want.path, entry: want });
    }
    settle(have, want, content !== 'same');
  }
  for (const { have, want } of directoriesToSettle(given).reverse()) {
    settle(have, want, have === undefined || given.names.changedDirectories.has(keyOf(want.path)));
  }
  touched.push(...given.carried);
  return { operations, touched: touched.sort(comparePaths) };
}

/** Wanted directories that differ themselves or whose names changed, in order of their paths. */
function directoriesToSettle(
  given: MetadataToPlan,
): { have?: DirectoryEntry | undefined; want: DirectoryEntry }[] {
  const found = new Map<string, { have?: DirectoryEntry | undefined; want: DirectoryEntry }>();
  for (const key of given.names.changedDirectories) {
    const directory = given.directories.get(key);
    if (directory?.want !== undefined) found.set(key, { have: directory.have, want: directory.want });
  }
  for (const { path, have, want } of given.changes) {
    if (want?.type !== 'directory') continue;
    found.set(keyOf(path), { have: have?.type === 'directory' ? have : undefined, want });
  }
  return [...found.values()].sort((a, b) => comparePaths(a.want.path, b.want.path));
}
