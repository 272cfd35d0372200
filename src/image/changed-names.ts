import type { MovedDifference } from './directory-moves.js';
import type { LinkableEntry } from './entry.js';
import type { Matching } from './inode-match.js';
import { keyOf, pathsOf } from './inode-match.js';
import { parentPath } from './path.js';

/**
 * The directories in which a name appears, goes, or comes to stand for another inode, by `keyOf`, if the inodes in
 * `kept` stay what they are.
 */
export function changedNames(
  { changes, moves }: MovedDifference,
  { matches, free, unmatched }: Matching,
  kept: ReadonlySet<LinkableEntry>,
): Map<string, Buffer> {
  const changed = new Map<string, Buffer>();
  const add = (path: Buffer): void => {
    if (path.length === 0) return;
    const parent = parentPath(path);
    changed.set(keyOf(parent), parent);
  };
  for (const { from, to } of moves) [from, to].forEach(add);
  for (const entry of [...free, ...unmatched]) if (!kept.has(entry)) pathsOf(entry).forEach(add);
  for (const { have, want } of matches) pathsOfOne(have, want).forEach(add);
  for (const { path, have, want } of changes) {
    if ((have?.type === 'directory') !== (want?.type === 'directory')) add(path);
  }
  return changed;
}

/** The paths that only one of two inodes has. */
function pathsOfOne(a: LinkableEntry, b: LinkableEntry): Buffer[] {
  if (a.names.length === 0 && b.names.length === 0 && a.path.equals(b.path)) return [];
  const [first, second] = [a, b].map(entry => new Map(pathsOf(entry).map(path => [keyOf(path), path])));
  return [...first!, ...second!]
    .filter(([key]) => first!.has(key) !== second!.has(key))
    .map(([, path]) => path);
}
