import type { DirectoryEntry, Entry, FileEntry } from './entry.js';
import { BLOCKING_FLAGS } from './entry.js';
import { differencesOf } from './difference.js';
import { contentKey, keyOf, parentKeyOf } from './inode-match.js';
import { baseName, comparePaths, isBelow, joinPath, parentPath } from './path.js';
import type { Change, Difference } from './plan.js';
import type { TouchedDirectory } from './plan-metadata.js';

/*
 * A directory that has got another name, as those do that are named after a version, is one difference at each
 * path below it. Renamed as it is, it costs one operation, and the inodes in it are not touched at all.
 */

/** A directory that goes from one path to another, where nothing was, with all that is in it. */
export interface DirectoryMove {
  from: Buffer;
  to: Buffer;
}

/** What differs once some directories have been moved. */
export interface MovedDifference extends Difference {
  /** Sorted by `from`; none lies in another. */
  moves: readonly DirectoryMove[];
  /** Paths of inodes that are as they are wanted because they were moved with their directory. */
  carried: readonly Buffer[];
}

/** Finds directories that are better moved than made anew, and what is left to do when that is done. */
export function moveDirectories(difference: Difference): MovedDifference {
  const moves = chooseMoves(difference);
  if (moves.length === 0) return { ...difference, moves, carried: [] };
  const relocation = new Relocation(moves);
  const { changes, carried } = moveChanges(difference.changes, relocation);
  return { changes, directories: moveTouched(difference, relocation), moves, carried };
}

/** Where an inode is before `moves` that is at `path` after them. */
export function pathBefore(moves: readonly DirectoryMove[], path: Buffer): Buffer {
  const move = moves.find(({ to }) => isWithin(path, to));
  return move === undefined ? path : rebase(path, move.to, move.from);
}

/** So many files with the same name and content are looked at for where a directory may have come from. */
const MOST_CANDIDATES = 4;

/** Every file that would be found again at the same place in another directory speaks for moving that one. */
function chooseMoves({ changes, directories }: Difference): DirectoryMove[] {
  const vanished = new Map<string, DirectoryEntry>();
  const appeared = new Set<string>();
  for (const { path, have, want } of changes) {
    if (have?.type === 'directory' && want?.type !== 'directory') vanished.set(keyOf(path), have);
    if (have === undefined && want?.type === 'directory') appeared.add(keyOf(path));
  }
  if (vanished.size === 0 || appeared.size === 0) return [];
  const chosen: DirectoryMove[] = [];
  for (const { move } of countVotes(changes, vanished, appeared)) {
    const overlaps = chosen.some(other => overlap(other.from, move.from) || overlap(other.to, move.to));
    if (!overlaps && canMove(move, vanished.get(keyOf(move.from))!, directories)) chosen.push(move);
  }
  return chosen.sort((a, b) => comparePaths(a.from, b.from));
}

interface Votes {
  move: DirectoryMove;
  count: number;
}

/** The moves that files speak for, those with most votes first. */
function countVotes(
  changes: readonly Change[],
  vanished: ReadonlyMap<string, unknown>,
  appeared: ReadonlySet<string>,
): Votes[] {
  const sources = new Map<string, Buffer[]>();
  for (const { path, have } of changes) {
    if (!isVoter(have) || !vanished.has(parentKeyOf(path))) continue;
    const key = voterKey(have);
    const same = sources.get(key);
    if (same === undefined) sources.set(key, [path]);
    else if (same.length < MOST_CANDIDATES) same.push(path);
  }
  const votes = new Map<string, Votes>();
  // Most files of a directory come from one: what they speak for is found once.
  const byDirectories = new Map<string, Votes>();
  for (const { path, want } of changes) {
    if (!isVoter(want)) continue;
    const destination = parentKeyOf(path);
    if (!appeared.has(destination)) continue;
    for (const source of sources.get(voterKey(want)) ?? []) {
      const directories = `${parentKeyOf(source)}\0${destination}`;
      let counted = byDirectories.get(directories);
      if (counted === undefined) {
        counted = votesFor(highestMove(source, path, vanished, appeared), votes);
        byDirectories.set(directories, counted);
      }
      counted.count++;
    }
  }
  return [...votes.values()].sort((a, b) => b.count - a.count || comparePaths(a.move.from, b.move.from));
}

function votesFor(move: DirectoryMove, votes: Map<string, Votes>): Votes {
  const key = `${keyOf(move.from)}\0${keyOf(move.to)}`;
  const there = votes.get(key);
  if (there !== undefined) return there;
  const made = { move, count: 0 };
  votes.set(key, made);
  return made;
}

function isVoter(entry: Entry | undefined): entry is FileEntry {
  return entry?.type === 'file' && entry.digest !== null;
}

function voterKey(entry: FileEntry): string {
  return `${keyOf(baseName(entry.path))}\0${contentKey(entry)}`;
}

/** The highest directories of which one, moved to the place of the other, brings a file from `source` to `path`. */
function highestMove(
  source: Buffer,
  path: Buffer,
  vanished: ReadonlyMap<string, unknown>,
  appeared: ReadonlySet<string>,
): DirectoryMove {
  let from = parentPath(source);
  let to = parentPath(path);
  while (from.length > 0 && to.length > 0 && baseName(from).equals(baseName(to))) {
    const above = { from: parentPath(from), to: parentPath(to) };
    if (!vanished.has(keyOf(above.from)) || !appeared.has(keyOf(above.to))) break;
    ({ from, to } = above);
  }
  return { from, to };
}

function overlap(a: Buffer, b: Buffer): boolean {
  return isWithin(a, b) || isWithin(b, a);
}

function isWithin(path: Buffer, directory: Buffer): boolean {
  return path.equals(directory) || isBelow(path, directory);
}

/** Whether nothing keeps a directory from being renamed before anything else is done. */
function canMove(
  { from, to }: DirectoryMove,
  directory: DirectoryEntry,
  directories: ReadonlyMap<string, TouchedDirectory>,
): boolean {
  const source = directories.get(parentKeyOf(from))?.have;
  const destination = directories.get(parentKeyOf(to));
  if (source === undefined || destination?.have === undefined || destination.want === undefined) return false;
  return [directory, source, destination.have].every(({ flags }) => (flags & BLOCKING_FLAGS) === 0);
}

/** Where paths lead after moves. */
class Relocation {
  readonly #moves: readonly DirectoryMove[];
  /** What is moved, and where to; none of them lies in another. */
  readonly #places: readonly Buffer[];

  constructor(moves: readonly DirectoryMove[]) {
    this.#moves = moves;
    this.#places = moves.flatMap(({ from, to }) => [from, to]).sort(comparePaths);
  }

  /** Whether a path is, or is below, what is moved or where something is moved to. */
  concerns(path: Buffer): boolean {
    return placeOf(path, this.#places, place => place) !== undefined;
  }

  /** The path after the moves of what is at `path` before them; the same buffer where that is no other. */
  path(path: Buffer): Buffer {
    const move = placeOf(path, this.#moves, ({ from }) => from);
    return move === undefined ? path : rebase(path, move.from, move.to);
  }

  /** The entry after the moves; the same object where nothing of it is another. */
  entry<T extends Entry>(entry: T): T {
    const path = this.path(entry.path);
    if (entry.type === 'link') {
      const target = this.path(entry.target);
      return path === entry.path && target === entry.target ? entry : { ...entry, path, target };
    }
    if (!('names' in entry) || entry.names.length === 0)
      return path === entry.path ? entry : { ...entry, path };
    const names = entry.names.map(name => this.path(name));
    const isSame = path === entry.path && names.every((name, at) => name === entry.names[at]);
    return isSame ? entry : { ...entry, path, names: names.sort(comparePaths) };
  }
}

/** That of the places, which are sorted and lie beside each other, at or below which a path is. */
function placeOf<T>(path: Buffer, places: readonly T[], directoryOf: (place: T) => Buffer): T | undefined {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (comparePaths(directoryOf(places[middle]!), path) <= 0) low = middle + 1;
    else high = middle;
  }
  const place = places[low - 1];
  return place !== undefined && isWithin(path, directoryOf(place)) ? place : undefined;
}

function rebase(path: Buffer, from: Buffer, to: Buffer): Buffer {
  return path.length === from.length ? to : joinPath(to, path.subarray(from.length + 1));
}

function moveChanges(
  changes: readonly Change[],
  relocation: Relocation,
): { changes: Change[]; carried: Buffer[] } {
  const apart: Change[] = [];
  const slots = new Map<string, Change>();
  const slot = (path: Buffer): Change => {
    const key = keyOf(path);
    const there = slots.get(key);
    if (there !== undefined) return there;
    const made: Change = { path };
    slots.set(key, made);
    return made;
  };
  for (const change of changes) {
    const { path, have, want } = change;
    const moved = have && relocation.entry(have);
    if (moved === have && !relocation.concerns(path)) {
      apart.push(change);
      continue;
    }
    if (want !== undefined) slot(path).want = want;
    if (moved !== undefined) slot(moved.path).have = moved;
  }
  const left: Change[] = [];
  const carried: Buffer[] = [];
  for (const change of slots.values()) {
    if (!isSettled(change)) left.push(change);
    else if (change.want?.type !== 'link') carried.push(change.path);
  }
  const sorted = [...apart, ...left].sort((a, b) => comparePaths(a.path, b.path));
  return { changes: sorted, carried: carried.sort(comparePaths) };
}

/** Whether moving has made right all that differed. */
function isSettled({ have, want }: Change): boolean {
  if (have === undefined || want === undefined) return false;
  if (have.type === 'link' || want.type === 'link') {
    return have.type === 'link' && want.type === 'link' && have.target.equals(want.target);
  }
  return differencesOf(have, want).length === 0;
}

/** What is at directories after moves; one in which no name was, or none will be, is among the changes only. */
function moveTouched(
  { changes, directories }: Difference,
  relocation: Relocation,
): Map<string, TouchedDirectory> {
  const moved = new Map<string, TouchedDirectory>();
  const put = (entry: DirectoryEntry, side: 'have' | 'want'): void => {
    const key = keyOf(entry.path);
    const there = moved.get(key);
    if (there === undefined) moved.set(key, { [side]: entry });
    else there[side] = entry;
  };
  for (const { have, want } of [...directories.values(), ...changes]) {
    if (want?.type === 'directory') put(want, 'want');
    if (have?.type === 'directory') put(relocation.entry(have), 'have');
  }
  return moved;
}
