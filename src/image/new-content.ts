import type { FileEntry } from './entry.js';
import { keyOf, mayDifferInHoles } from './inode-match.js';
import type { Change } from './plan.js';

/**
 * Wanted files that are sure to be made anew, whatever is moved and matched, in the order of `changes`: no inode that changes has
 * their content, nor does the one at their path if its zeros become holes. A plan may make others as well.
 */
export function newContent(changes: readonly Change[]): FileEntry[] {
  const there = new Set<string>();
  for (const { have } of changes) {
    if (have?.type === 'file' && have.digest !== null) there.add(keyOf(have.digest));
  }
  return changes.flatMap(({ have, want }) => {
    if (want?.type !== 'file' || want.digest === null || there.has(keyOf(want.digest))) return [];
    return have?.type === 'file' && mayDifferInHoles({ have, want }) ? [] : [want];
  });
}
