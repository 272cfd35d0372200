import { checkChanges, checkCounts } from '../image/check-changes.js';
import type { DirectoryEntry, Entry } from '../image/entry.js';
import type { Change, Difference } from '../image/plan.js';
import { directoriesOf } from '../image/plan.js';
import type { TouchedDirectory } from '../image/plan-metadata.js';
import { keyOf } from '../image/inode-match.js';
import type { Watch } from '../native.js';
import { compareManifests } from '../store/compare.js';
import type { ManifestReader } from '../store/manifest-reader.js';
import { findEntries, findOccupied } from './find-entries.js';

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
  for await (const { path, have: before, want: after } of compareManifests(have, want, watch)) {
    changes.push({ path, have: before?.entry, want: after?.entry });
  }
  checkCounts(have.index, want.index, changes);
  const directories = await touchedDirectories(have, want, changes, watch);
  const gone = changes.filter(
    ({ have: before, want: after }) => before?.type === 'directory' && after?.type !== 'directory',
  );
  const occupied = await findOccupied(
    want,
    gone.map(({ path }) => path),
    watch,
  );
  checkChanges(changes, directories, new Set(occupied.map(keyOf)));
  return { changes, directories };
}

async function touchedDirectories(
  have: ManifestReader,
  want: ManifestReader,
  changes: readonly Change[],
  watch: Watch,
): Promise<Map<string, TouchedDirectory>> {
  const paths = directoriesOf(changes);
  const before = await findEntries(have, paths, watch);
  const after = await findEntries(want, paths, watch);
  return new Map(
    paths.map((path, at) => [keyOf(path), { have: directory(before[at]), want: directory(after[at]) }]),
  );
}

function directory(entry: Entry | undefined): DirectoryEntry | undefined {
  return entry?.type === 'directory' ? entry : undefined;
}
