import type { MovedDifference } from './directory-moves.js';
import type { Entry, LinkableEntry } from './entry.js';
import type { Match, Matching, Rewrites } from './inode-match.js';
import { keyOf, parentKeyOf, withRewrites } from './inode-match.js';
import type { Operation } from './operation.js';
import { comparePaths, parentPath } from './path.js';
import type { TouchedDirectory } from './plan-metadata.js';
import { planClearing, planSettling } from './plan-metadata.js';
import { planNames } from './plan-names.js';

/*
 * From the differences of two trees to the operations that turn one into the other. A function of its
 * arguments: it knows nothing of disks.
 *
 * The order is chosen so that no operation meets anything in its way:
 *
 *   1. directories that move with all that is in them are renamed; all paths below are those after that
 *   2. what would get in the way is taken off: immutable and append-only flags of what will be touched,
 *      and what directories would hand on to that which is made in them
 *   3. what differs in holes only gets its holes, while nothing else has been given back: a file that needs one
 *      more block for its extents then gets it where all that is new goes, not somewhere in between
 *   4. inodes that move, and whose place is wanted by another, are parked in the staging directory
 *   5. if there are many new files, all that is new is made there, so that it lies together
 *   6. names that are not wanted, or stand for another inode, are removed; so are directories whose path is
 *      wanted by something else
 *   7. new directories are put in their places or made there, from the top
 *   8. so are new inodes; moved ones are renamed, further names linked
 *   9. the other directories that are not wanted are removed, from the bottom
 *  10. content is rewritten in place and metadata made right: of files first, then of directories from
 *      the bottom, since all that came before changed their times
 */

/** What differs at one path: what is there, and what is wanted there. */
export interface Change {
  path: Buffer;
  have?: Entry | undefined;
  want?: Entry | undefined;
}

/** All that differs between two trees. */
export interface Difference {
  /**
   * Sorted by path and complete: whenever a name, the content or the metadata of an inode differs, its entry is
   * among them on both sides.
   */
  changes: readonly Change[];
  /** What is at the paths of `directoriesOf`, by `keyOf`. */
  directories: ReadonlyMap<string, TouchedDirectory>;
}

/** How plans are made. */
export interface PlanOptions {
  /** A directory in the root that neither tree has, for what is not in its place yet. */
  staging: Buffer;
  /** When so many files are made, all that is new is made in the staging directory. */
  stageFrom: number;
  /** Files that keep their inodes rather than being made anew. */
  rewrites: Rewrites;
}

/** What to do, and what will have been touched. */
export interface Plan {
  operations: Operation[];
  /** Paths of wanted inodes (the first one of each) that will be other than they were, in order. */
  touched: Buffer[];
}

/**
 * The directories that hold a name which appears, goes, or comes to stand for another inode, in order of
 * their paths.
 */
export function directoriesOf(changes: readonly Change[]): Buffer[] {
  const root = Buffer.alloc(0);
  const found = new Map<string, Buffer>([[keyOf(root), root]]);
  for (const change of changes) {
    for (const path of [change.path, ...namesOf(change.have), ...namesOf(change.want)]) {
      const key = parentKeyOf(path);
      if (!found.has(key)) found.set(key, parentPath(path));
    }
  }
  return [...found.values()].sort(comparePaths);
}

/** Plans what differs once directories have moved. `matching` is `matchInodes` of its changes. */
export function planChanges(difference: MovedDifference, matching: Matching, options: PlanOptions): Plan {
  const { changes, directories, moves, carried } = difference;
  const have = linkableOf(changes, 'have');
  const { matches, made } = withRewrites(matching, options.rewrites);
  const names = planNames({ changes, have, matches, made, moves, options });
  const clearing = planClearing(changes, directories, names.changedDirectories);
  const settling = planSettling({
    changes,
    directories,
    matches,
    made,
    carried,
    names,
    cleared: clearing.cleared,
  });
  const operations: Operation[] = [
    ...moves.map(({ from, to }): Operation => ({ do: 'rename', path: from, to })),
    ...clearing.operations,
    ...planHoles(matches),
    ...names.operations,
    ...settling.operations,
  ];
  return { operations, touched: settling.touched };
}

function planHoles(matches: readonly Match[]): Operation[] {
  return matches.flatMap(({ have, want, content }): Operation[] =>
    content === 'holes' && want.type === 'file' ? [{ do: 'set-holes', path: have.path, entry: want }] : [],
  );
}

/** The inodes of one side of changes that are no directories. */
export function linkableOf(changes: readonly Change[], side: 'have' | 'want'): LinkableEntry[] {
  return changes.map(change => change[side]).filter(entry => entry !== undefined && 'names' in entry);
}

function namesOf(entry: Entry | undefined): readonly Buffer[] {
  return entry !== undefined && 'names' in entry ? entry.names : [];
}
