import type { FileEntry } from '../../image/entry.js';
import { deriveObject } from '../../store/derive-object.js';
import { findDerivable } from '../../store/find-derivable.js';
import { inParallel } from '../../store/in-parallel.js';
import type { ManifestReader } from '../../store/manifest-reader.js';
import { partsOf } from '../../store/object-parts.js';
import type { Store } from '../../store/store.js';

const AT_ONCE = 4;

/**
 * Makes those of the missing objects of `files`, which are in the order of their paths, that differ in their holes only from what
 * `base` has at the same path, whose objects the store has. What is not made so is for others to bring.
 */
export async function deriveObjects(
  store: Store,
  base: ManifestReader,
  files: readonly FileEntry[],
  signal: AbortSignal,
): Promise<void> {
  const has = await store.has(
    files.map(({ digest }) => digest!),
    { toStore: true },
  );
  const missing = files.filter((_, at) => !has[at]);
  if (missing.length === 0) return;
  const pairs = await findDerivable(base, missing, { signal });
  const parts = partsOf(store);
  await inParallel(pairs, AT_ONCE, ({ wanted, found }) => deriveObject(store, parts, wanted, found), signal);
}
