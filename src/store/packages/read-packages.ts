import { ImageUnpackerError } from '../../image/error.js';
import type { PackageList } from '../../image/package-list.js';
import { decodePackageList, MAX_LIST_BYTES, PACKAGES_ANNOTATION } from '../../image/package-list.js';
import { isDamage } from '../damage.js';
import type { ImageRecord, Store } from '../store.js';

/** The packages that are kept with an image; undefined if none are. Throws `STORE_DAMAGED`. */
export async function readPackages(store: Store, image: ImageRecord): Promise<PackageList | undefined> {
  const digest = image.annotations[PACKAGES_ANNOTATION];
  if (digest === undefined) return undefined;
  try {
    return decodePackageList(await store.read(Buffer.from(digest, 'hex'), MAX_LIST_BYTES));
  } catch (reason) {
    if (!isDamage(reason)) throw reason;
    const message = `The package list of the image ${image.name} cannot be read: ${reason.message}`;
    throw new ImageUnpackerError('STORE_DAMAGED', message, { ...reason.subject, image: image.name }, reason);
  }
}

/** The same for who shows the image in any case: why its list cannot be read stands in `fault`. */
export async function tryReadPackages(
  store: Store,
  image: ImageRecord,
): Promise<{ list: PackageList | undefined; fault?: string }> {
  try {
    return { list: await readPackages(store, image) };
  } catch (reason) {
    if (!isDamage(reason)) throw reason;
    return { list: undefined, fault: reason.message };
  }
}
