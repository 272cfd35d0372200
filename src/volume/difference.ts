import { checkChanges, checkCounts } from '../image/check-changes.js';
import type { DirectoryEntry, Entry } from '../image/entry.js';
import { isBelow } from '../image/path.js';
import type { Change, Difference } from '../image/plan.js';
import { directoriesOf } from '../image/plan.js';
import type { TouchedDirectory } from '../image/plan-metadata.js';
import { keyOf } from '../image/inode-match.js';
import type { Watch } from '../native.js';
import { compareManifests } from '../store/compare.js';
import type { ManifestReader } from '../store/manifest-reader.js';
import { findEntries } from './find-entries.js';

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
  const pages = new Map<number, Promise<Entry[]>>();
  await checkChanges(changes, directories, path => hasBelow(want, path, pages));
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

/**
 * Whether a tree has an entry below `path`: those sort right after `path` and all that sorts before it. Pages
 * that were decoded are kept in `pages`.
 */
async function hasBelow(
  manifest: ManifestReader,
  path: Buffer,
  pages: Map<number, Promise<Entry[]>>,
): Promise<boolean> {
  const number = manifest.pageOf(path);
  const next = manifest.index.pages[number + 1];
  if (next !== undefined && isBelow(next.first, path)) return true;
  let page = pages.get(number);
  if (page === undefined) {
    page = manifest.entriesOf(number);
    pages.set(number, page);
  }
  return (await page).some(entry => isBelow(entry.path, path));
}
