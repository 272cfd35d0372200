import type { Watch } from '../native.js';
import type { Derivable, FileData } from './derivable.js';
import { isDerivable } from './derivable.js';
import { findEntries } from './find-entries.js';
import type { ManifestReader } from './manifest-reader.js';

/** Those of the files, which are in the order of their paths, whose objects may be made of what `base` has at the same path. */
export async function findDerivable<T extends FileData & { path: Buffer }>(
  base: ManifestReader,
  files: readonly T[],
  watch: Watch,
): Promise<Derivable<T>[]> {
  const paths = files.map(({ path }) => path);
  const entries = await findEntries(base, paths, watch);
  return files.flatMap((wanted, at) => {
    const found = entries[at];
    return found?.type === 'file' && isDerivable(wanted, found) ? [{ wanted, found }] : [];
  });
}
