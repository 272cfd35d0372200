import { sameHoles } from './difference.js';
import type { Entry, FileEntry, InodeEntry } from './entry.js';
import { comparePaths, parentPath } from './path.js';

/*
 * Rebuilt content has new times though nothing else is new. A file (same size, data and holes), a symbolic
 * link (same target) or a directory (same names in it) that an earlier tree has at the same path takes its
 * time from there. A hard link has the time of its inode: any of its names may be the one that was there.
 *
 * What is in a directory comes after it, so each tree is read twice: once for what has to be known in
 * advance, once for the entries.
 */

type Entries = AsyncIterable<Entry> | Iterable<Entry>;

/** What of an earlier entry decides whether its time is taken. */
type Earlier = Pick<InodeEntry, 'type' | 'mtime'> &
  Partial<Pick<FileEntry, 'size' | 'holes' | 'digest'>> & {
    target?: Buffer;
  };

/** What the first reading finds. */
interface Foreknowledge {
  /** Directories whose names differ, by path as Latin-1. */
  changed: ReadonlySet<string>;
  /** What the earlier tree has at the further names of an inode, by the path of its entry. */
  atFurtherNames: ReadonlyMap<string, Earlier[]>;
}

/**
 * The entries of `want` in their order, with the times that those whose content is unchanged have in `have`.
 * Both list a tree in the order of its paths, and are called twice.
 */
export async function* mergeTimes(
  have: () => Entries,
  want: () => Entries,
): AsyncGenerator<Entry, void, undefined> {
  const known = await foresee(have, want);
  for await (const { want: entry, have: earlier } of inStep(have(), want())) {
    if (entry === undefined) continue;
    if (entry.type === 'link') {
      yield entry;
      continue;
    }
    const candidates = [
      ...(earlier ? [earlier] : []),
      ...(known.atFurtherNames.get(keyOf(entry.path)) ?? []),
    ];
    const same = candidates.find(candidate => isUnchanged(candidate, entry, known.changed));
    yield same === undefined ? entry : { ...entry, mtime: same.mtime };
  }
}

async function foresee(have: () => Entries, want: () => Entries): Promise<Foreknowledge> {
  const changed = new Set<string>();
  const atFurtherNames = new Map<string, Earlier[]>();
  for await (const { path, have: earlier, want: entry } of inStep(have(), want())) {
    if (earlier === undefined || entry === undefined) {
      changed.add(keyOf(parentPath(path)));
    } else if (entry.type === 'link') {
      const key = keyOf(entry.target);
      const others = atFurtherNames.get(key);
      if (others === undefined) atFurtherNames.set(key, [earlier]);
      else others.push(earlier);
    }
  }
  return { changed, atFurtherNames };
}

/** Both trees side by side; a hard link of the earlier one comes as the inode that it is. */
async function* inStep(have: Entries, want: Entries) {
  const [left, right] = [iteratorOf(have), iteratorOf(want)];
  const inodes = new Map<string, Earlier>();
  try {
    let [a, b] = [await left.next(), await right.next()];
    while (a.done !== true || b.done !== true) {
      const [before, after] = [a.done === true ? undefined : a.value, b.done === true ? undefined : b.value];
      const order = before && after ? comparePaths(before.path, after.path) : before ? -1 : 1;
      const earlier = before && order <= 0 ? resolveLink(before, inodes) : undefined;
      const path = (order <= 0 ? before : after)!.path;
      yield { path, have: earlier, want: order >= 0 ? after : undefined };
      if (order <= 0) a = await left.next();
      if (order >= 0) b = await right.next();
    }
  } finally {
    await left.return?.();
    await right.return?.();
  }
}

function iteratorOf(entries: Entries): AsyncIterator<Entry> | Iterator<Entry> {
  return Symbol.asyncIterator in entries ? entries[Symbol.asyncIterator]() : entries[Symbol.iterator]();
}

function resolveLink(entry: Entry, inodes: Map<string, Earlier>): Earlier | undefined {
  if (entry.type === 'link') return inodes.get(keyOf(entry.target));
  if (entry.type !== 'directory' && entry.names.length > 0) inodes.set(keyOf(entry.path), entry);
  return entry;
}

function isUnchanged(earlier: Earlier, entry: InodeEntry, changed: ReadonlySet<string>): boolean {
  if (earlier.type !== entry.type) return false;
  switch (entry.type) {
    case 'directory':
      return !changed.has(keyOf(entry.path));
    case 'symlink':
      return earlier.target?.equals(entry.target) === true;
    case 'file':
      return (
        earlier.size === entry.size && sameData(earlier, entry) && sameHoles(earlier.holes ?? [], entry.holes)
      );
    default:
      return false;
  }
}

function sameData(earlier: Earlier, entry: FileEntry): boolean {
  const digest = earlier.digest ?? null;
  return digest === null ? entry.digest === null : entry.digest?.equals(digest) === true;
}

function keyOf(path: Buffer): string {
  return path.toString('latin1');
}
