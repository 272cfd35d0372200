import type { PackageChanges } from '../image/package-list.js';
import { comparePackages } from '../image/package-list.js';
import type { Watch } from '../native.js';
import type { ImageDifference } from './diff.js';
import { diffManifests } from './diff.js';
import { ManifestReader } from './manifest-reader.js';
import { tryReadPackages } from './packages/read-packages.js';
import type { ImageRecord, Store } from './store.js';

/** What is not the same in two images of a store, their packages included. */
export interface ComparedImages extends ImageDifference {
  from: string;
  to: string;
  /** Null if not both images have a list that can be read. */
  packages: PackageChanges | null;
  /** Why a list cannot be read. */
  packagesFault?: string;
}

/** Compares two images of a store. Throws `STORE_DAMAGED`. */
export async function diffImages(
  store: Store,
  from: ImageRecord,
  to: ImageRecord,
  watch: Watch,
): Promise<ComparedImages> {
  const before = await ManifestReader.open(store, Buffer.from(from.digest, 'hex'));
  const after = await ManifestReader.open(store, Buffer.from(to.digest, 'hex'));
  const difference = await diffManifests(before, after, watch);
  const [had, has] = [await tryReadPackages(store, from), await tryReadPackages(store, to)];
  const packages = had.list && has.list ? comparePackages(had.list.packages, has.list.packages) : null;
  const fault = had.fault ?? has.fault;
  const packagesFault = fault === undefined ? {} : { packagesFault: fault };
  return { from: from.name, to: to.name, ...difference, packages, ...packagesFault };
}
