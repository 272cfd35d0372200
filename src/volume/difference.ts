import { checkChanges, checkCounts } from '../image/check-changes.js';
import type { DirectoryEntry, Entry } from '../image/entry.js';
import type { Change, Difference } from '../image/plan.js';
import { directoriesOf } from '../image/plan.js';
import type { TouchedDirectory } from '../image/plan-metadata.js';
import { keyOf } from '../image/inode-match.js';
import type { Watch } from '../native.js';
import { compareInBatches } from '../store/compare.js';
import type { ManifestReader } from '../store/manifest-reader.js';
import { findEntries, findOccupied } from '../store/find-entries.js';

/**
 * What differs between the tree on a volume and the one that is wanted. Reads only pages that differ, and
 * those of directories whose names change. Throws `IMAGE_INVALID` when what is wanted is not a tree.
 */
export async function differenceOf(
  have: ManifestReader,
  want: ManifestReader,
  watch: Watch,
): Promise<Difference> {
  const changes: Change[] = [];
  const found = new Map<string, TouchedDirectory>();
  for await (const differences of compareInBatches(have, want, watch)) {
    const some = differences.map((each): Change => {
      return { path: each.path, have: each.have?.entry, want: each.want?.entry };
    });
    for (const change of some) changes.push(change);
    // At once, while their pages are held: nearly all lie in those that were just compared.
    await findDirectories(have, want, some, found, watch);
  }
  checkCounts(have.index, want.index, changes);
  const gone = changes.filter(
    ({ have: before, want: after }) => before?.type === 'directory' && after?.type !== 'directory',
  );
  const occupied = await findOccupied(
    want,
    gone.map(({ path }) => path),
    watch,
  );
  checkChanges(changes, found, new Set(occupied.map(keyOf)));
  return { changes, directories: found };
}

/** Adds the directories of `changes` to those that were found before. */
async function findDirectories(
  have: ManifestReader,
  want: ManifestReader,
  changes: readonly Change[],
  found: Map<string, TouchedDirectory>,
  watch: Watch,
): Promise<void> {
  const paths = directoriesOf(changes).filter(path => !found.has(keyOf(path)));
  const [before, after] = await Promise.all([
    findEntries(have, paths, watch),
    findEntries(want, paths, watch),
  ]);
  for (const [at, path] of paths.entries())
    found.set(keyOf(path), { have: directory(before[at]), want: directory(after[at]) });
}

function directory(entry: Entry | undefined): DirectoryEntry | undefined {
  return entry?.type === 'directory' ? entry : undefined;
}
