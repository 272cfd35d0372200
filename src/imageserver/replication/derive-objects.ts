import type { FileEntry } from '../../image/entry.js';
import { deriveObject } from '../../store/derive-object.js';
import type { Derivable } from '../../store/find-derivable.js';
import { findDerivable } from '../../store/find-derivable.js';
import { inParallel } from '../../store/in-parallel.js';
import type { ManifestReader } from '../../store/manifest-reader.js';
import { partsOf } from '../../store/object-parts.js';
import type { Store } from '../../store/store.js';

const AT_ONCE = 4;

/**
 * Makes objects that the store lacks, of files in the order of their paths, where they differ in their holes only from what `base`
 * has at the same path, whose objects the store has. Resolves to the files whose objects are still missing.
 */
export async function deriveObjects(
  store: Store,
  base: ManifestReader,
  files: readonly FileEntry[],
  signal: AbortSignal,
): Promise<FileEntry[]> {
  const pairs = await findDerivable(base, files, { signal });
  const parts = partsOf(store);
  const made = new Set<FileEntry>();
  const make = async ({ wanted, found }: Derivable<FileEntry>): Promise<void> => {
    if (await deriveObject(store, parts, wanted, found, signal)) made.add(wanted);
  };
  await inParallel(pairs, AT_ONCE, make, signal);
  return files.filter(file => !made.has(file));
}
