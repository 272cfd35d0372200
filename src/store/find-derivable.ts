import type { Watch } from '../native.js';
import type { FileData } from './derive-object.js';
import { isDerivable } from './derive-object.js';
import { findEntries } from './find-entries.js';
import type { ManifestReader } from './manifest-reader.js';

/** A file whose object may be made of that of another one. */
export interface Derivable<T extends FileData> {
  wanted: T;
  found: FileData;
}

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
