import type { FileEntry, LinkableEntry } from './entry.js';

/*
 * Which inodes that are there become which of those that are wanted. An inode is known by its entry, that
 * of its first path; each has at most one counterpart.
 */

/** How an inode that is there serves as one that is wanted. */
export interface Match {
  have: LinkableEntry;
  want: LinkableEntry;
  /** The content is another one and must be written into the inode. */
  rewrite: boolean;
}

/** All paths of an inode, its first one first. */
export function pathsOf(entry: LinkableEntry): Buffer[] {
  return [entry.path, ...entry.names];
}

/** A path as a key of maps and sets. */
export function keyOf(path: Buffer): string {
  return path.toString('latin1');
}

/**
 * Matches inodes, preferring in this order: one with the same content that has one of the wanted names;
 * one with the same content anywhere, whose names are all given up; for the files whose paths are in
 * `rewritten` one with other content that has that path.
 */
export function matchInodes(
  have: readonly LinkableEntry[],
  want: readonly LinkableEntry[],
  rewritten: ReadonlySet<string>,
): Match[] {
  const free = new Set(have);
  const matches: Match[] = [];
  const owners = new Map(have.flatMap(entry => pathsOf(entry).map(path => [keyOf(path), entry] as const)));
  const take = (from: LinkableEntry, to: LinkableEntry, rewrite: boolean): void => {
    free.delete(from);
    matches.push({ have: from, want: to, rewrite });
  };
  const byName = (entries: readonly LinkableEntry[], fits: Fits, rewrite: boolean): LinkableEntry[] =>
    entries.filter(entry => {
      const owner = bestOwner(entry, owners, candidate => free.has(candidate) && fits(candidate, entry));
      if (owner !== undefined) take(owner, entry, rewrite);
      return owner === undefined;
    });
  let left = byName(want, sameContent, false);
  left = byContent(left, free, take);
  byName(left, (from, to) => isRewritten(from, to, rewritten), true);
  return matches;
}

/** The files whose content is not on the volume under any name, as often as it is wanted. */
export function contentToFetch(have: readonly LinkableEntry[], want: readonly LinkableEntry[]): FileEntry[] {
  const there = new Map<string, number>();
  for (const entry of have) {
    const key = contentKey(entry);
    there.set(key, (there.get(key) ?? 0) + 1);
  }
  return want.filter(entry => {
    if (entry.type !== 'file') return false;
    const left = there.get(contentKey(entry)) ?? 0;
    if (left > 0) there.set(contentKey(entry), left - 1);
    return left === 0;
  }) as FileEntry[];
}

type Fits = (have: LinkableEntry, want: LinkableEntry) => boolean;

/** Of the inodes that have names of `entry` and fit, the one that has most of them. */
function bestOwner(
  entry: LinkableEntry,
  owners: ReadonlyMap<string, LinkableEntry>,
  fits: (candidate: LinkableEntry) => boolean,
): LinkableEntry | undefined {
  const shared = new Map<LinkableEntry, number>();
  for (const path of pathsOf(entry)) {
    const owner = owners.get(keyOf(path));
    if (owner !== undefined && fits(owner)) shared.set(owner, (shared.get(owner) ?? 0) + 1);
  }
  let best: LinkableEntry | undefined;
  for (const [owner, count] of shared) {
    if (best === undefined || count > shared.get(best)!) best = owner;
  }
  return best;
}

function byContent(
  want: readonly LinkableEntry[],
  free: ReadonlySet<LinkableEntry>,
  take: (from: LinkableEntry, to: LinkableEntry, rewrite: boolean) => void,
): LinkableEntry[] {
  const known = new Map<string, LinkableEntry[]>();
  for (const entry of [...free].reverse()) {
    const key = contentKey(entry);
    const same = known.get(key);
    if (same === undefined) known.set(key, [entry]);
    else same.push(entry);
  }
  return want.filter(entry => {
    const found = known.get(contentKey(entry))?.pop();
    if (found !== undefined) take(found, entry, false);
    return found === undefined;
  });
}

/** Whether two inodes differ in nothing but names and metadata. */
function sameContent(a: LinkableEntry, b: LinkableEntry): boolean {
  if (a.type === 'file' && b.type === 'file' && !sameBytes(a.digest, b.digest)) return false;
  return a.type === b.type && contentKey(a) === contentKey(b);
}

function sameBytes(a: Buffer | null, b: Buffer | null): boolean {
  return a === null || b === null ? a === b : a.equals(b);
}

/** What cannot be changed of an inode (or, of a file, is its content), as a key. */
function contentKey(entry: LinkableEntry): string {
  switch (entry.type) {
    case 'file': {
      const holes = entry.holes.map(({ start, count }) => `${String(start)}+${String(count)}`).join();
      return `file ${String(entry.size)} ${holes} ${entry.digest?.toString('latin1') ?? ''}`;
    }
    case 'symlink':
      return `symlink ${entry.target.toString('latin1')}`;
    case 'character':
    case 'block':
      return `${entry.type} ${String(entry.major)} ${String(entry.minor)}`;
    case 'fifo':
    case 'socket':
      return entry.type;
  }
}

function isRewritten(have: LinkableEntry, want: LinkableEntry, rewritten: ReadonlySet<string>): boolean {
  if (have.type !== 'file' || want.type !== 'file') return false;
  return have.path.equals(want.path) && rewritten.has(keyOf(want.path));
}
