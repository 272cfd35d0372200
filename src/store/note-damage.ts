import { ImageUnpackerError } from '../image/error.js';
import type { Store } from './store.js';
import type { ImageFault } from './verify.js';

/**
 * Takes note of what was found to be damaged, so that it is stored anew with the next image that needs it. Resolves to
 * whether that will be so: not in a store that cannot be written to.
 */
export async function noteFaults(store: Store, faults: readonly ImageFault[]): Promise<boolean> {
  const damaged = new Set(faults.filter(({ state }) => state === 'damaged').map(({ digest }) => digest));
  if (damaged.size === 0) return true;
  try {
    await store.noteDamage([...damaged].map(digest => Buffer.from(digest, 'hex')));
    return true;
  } catch (reason) {
    if (reason instanceof ImageUnpackerError && reason.code === 'NO_PERMISSION') return false;
    throw reason;
  }
}
