import type { PackageList } from '../../image/package-list.js';
import { decodePackageList, MAX_LIST_BYTES, PACKAGES_ANNOTATION } from '../../image/package-list.js';
import type { ImageRecord, Store } from '../store.js';

/** The packages that are kept with an image; undefined if none are. Throws `STORE_DAMAGED`. */
export async function readPackages(store: Store, image: ImageRecord): Promise<PackageList | undefined> {
  const digest = image.annotations[PACKAGES_ANNOTATION];
  if (digest === undefined) return undefined;
  return decodePackageList(await store.read(Buffer.from(digest, 'hex'), MAX_LIST_BYTES));
}
