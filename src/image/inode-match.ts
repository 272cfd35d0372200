import { sameHoles } from './difference.js';
import type { Entry, FileEntry, LinkableEntry } from './entry.js';
import type { Change } from './plan.js';
import type { SparseForms } from './sparse-form.js';
import { sparseKey } from './sparse-form.js';

/*
 * Which inodes that are there become which of those that are wanted. An inode is known by its entry, that
 * of its first path; each has at most one counterpart.
 */

/** How an inode that is there serves as one that is wanted. */
export interface Match {
  have: LinkableEntry;
  want: LinkableEntry;
  /**
   * What must be done to the content: nothing; make other zeros holes; write the blocks that differ where they lie; or
   * give all of it back and write it anew.
   */
  content: 'same' | 'holes' | 'rewritten' | 'replaced';
}

/** How files keep their inodes whose content is another, by path (`keyOf`). */
export type Rewrites = ReadonlyMap<string, 'rewritten' | 'replaced'>;

/** All paths of an inode, its first one first. */
export function pathsOf(entry: LinkableEntry): Buffer[] {
  return [entry.path, ...entry.names];
}

/** A path as a key of maps and sets. */
export function keyOf(path: Buffer): string {
  return path.toString('latin1');
}

/** The key of the path of the directory that holds `path`. */
export function parentKeyOf(path: Buffer): string {
  const key = keyOf(path);
  return key.slice(0, Math.max(0, key.lastIndexOf('/')));
}

/** Which inodes serve as which, and what is left on both sides. */
export interface Matching {
  matches: Match[];
  /** Inodes that serve as none. */
  free: ReadonlySet<LinkableEntry>;
  /** Wanted inodes whose content is nowhere: they must be made. */
  unmatched: LinkableEntry[];
}

/**
 * Matches inodes, preferring in this order: one with the same content that has one of the wanted names;
 * one with the same content anywhere, whose names are all given up; the file at the same path if nothing differs
 * but which of its zeros are holes.
 */
export function matchInodes(changes: readonly Change[], forms: SparseForms): Matching {
  const matches: Match[] = [];
  const free = new Set<LinkableEntry>();
  const want: LinkableEntry[] = [];
  const take: Take = (from, to, content = 'same') => {
    free.delete(from);
    matches.push({ have: from, want: to, content });
  };
  for (const { have: before, want: after } of changes) {
    const [a, b] = [linkable(before), linkable(after)];
    if (a !== undefined && b !== undefined && isAlone(a) && isAlone(b) && sameContent(a, b)) {
      take(a, b);
      continue;
    }
    if (a !== undefined) free.add(a);
    if (b !== undefined) want.push(b);
  }
  const left = byContent(byName(want, free, take), free, take);
  return { matches, free, unmatched: byZeros(left, free, forms, take) };
}

/** Has files get another content without becoming other inodes. */
export function withRewrites(
  { matches, free, unmatched }: Matching,
  rewrites: Rewrites,
): { matches: readonly Match[]; made: readonly LinkableEntry[] } {
  if (rewrites.size === 0) return { matches, made: unmatched };
  const kept = new Map<LinkableEntry, Match>();
  for (const { have, want } of rewritablePairs({ free, unmatched })) {
    const content = rewrites.get(keyOf(want.path));
    if (content !== undefined) kept.set(want, { have, want, content });
  }
  return {
    matches: [...matches, ...kept.values()],
    made: unmatched.filter(entry => !kept.has(entry)),
  };
}

/** A file as it is and as it is wanted. */
export interface FilePair {
  have: FileEntry;
  want: FileEntry;
}

/** The files that must be made at a path where a file is that serves as none. */
export function rewritablePairs({ free, unmatched }: Pick<Matching, 'free' | 'unmatched'>): FilePair[] {
  const files = new Map<string, FileEntry>();
  for (const entry of free) if (entry.type === 'file') files.set(keyOf(entry.path), entry);
  return unmatched.flatMap(want => {
    const have = want.type === 'file' ? files.get(keyOf(want.path)) : undefined;
    return have === undefined || want.type !== 'file' ? [] : [{ have, want }];
  });
}

function linkable(entry: Entry | undefined): LinkableEntry | undefined {
  return entry !== undefined && 'names' in entry ? entry : undefined;
}

function isAlone(entry: LinkableEntry): boolean {
  return entry.names.length === 0;
}

type Take = (from: LinkableEntry, to: LinkableEntry, content?: Match['content']) => void;

/** Takes inodes by their names; what is left of `want` is returned. */
function byName(
  want: readonly LinkableEntry[],
  free: ReadonlySet<LinkableEntry>,
  take: Take,
): LinkableEntry[] {
  const owners = new Map<string, LinkableEntry>();
  for (const entry of free) for (const path of pathsOf(entry)) owners.set(keyOf(path), entry);
  return want.filter(entry => {
    const owner = bestOwner(entry, owners, candidate => free.has(candidate) && sameContent(candidate, entry));
    if (owner !== undefined) take(owner, entry);
    return owner === undefined;
  });
}

/** Of the inodes that have names of `entry` and fit, the one that has most of them. */
function bestOwner(
  entry: LinkableEntry,
  owners: ReadonlyMap<string, LinkableEntry>,
  fits: (candidate: LinkableEntry) => boolean,
): LinkableEntry | undefined {
  if (isAlone(entry)) {
    const owner = owners.get(keyOf(entry.path));
    return owner !== undefined && fits(owner) ? owner : undefined;
  }
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
  take: Take,
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
    if (found !== undefined) take(found, entry);
    return found === undefined;
  });
}

/** Takes files at their own paths whose zeros are holes in other places; what is left of `want` is returned. */
function byZeros(
  want: LinkableEntry[],
  free: ReadonlySet<LinkableEntry>,
  forms: SparseForms,
  take: Take,
): LinkableEntry[] {
  const taken = new Set<LinkableEntry>();
  for (const pair of rewritablePairs({ free, unmatched: want })) {
    if (!mayDifferInHoles(pair) || sparseKey(pair.have, forms) !== sparseKey(pair.want, forms)) continue;
    take(pair.have, pair.want, 'holes');
    taken.add(pair.want);
  }
  return taken.size === 0 ? want : want.filter(entry => !taken.has(entry));
}

/** Whether two files with different content may differ in holes only. */
export function mayDifferInHoles({ have, want }: FilePair): boolean {
  return have.size === want.size && !sameHoles(have.holes, want.holes);
}

/** Whether two inodes differ in nothing but names and metadata. */
function sameContent(a: LinkableEntry, b: LinkableEntry): boolean {
  if (a.type === 'file' && b.type === 'file') {
    return a.size === b.size && sameBytes(a.digest, b.digest) && sameHoles(a.holes, b.holes);
  }
  return a.type === b.type && contentKey(a) === contentKey(b);
}

function sameBytes(a: Buffer | null, b: Buffer | null): boolean {
  return a === null || b === null ? a === b : a.equals(b);
}

/** What cannot be changed of an inode (or, of a file, is its content), as a key. */
export function contentKey(entry: LinkableEntry): string {
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
