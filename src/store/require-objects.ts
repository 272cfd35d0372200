import { ImageUnpackerError } from '../image/error.js';
import type { Watch } from '../native.js';
import type { Store } from './store.js';

/** Reads and hashes objects, each once. Throws `STORE_DAMAGED` naming all that are missing or damaged. */
export async function requireObjects(store: Store, digests: readonly Buffer[], watch: Watch): Promise<void> {
  const unique = new Map(digests.map(digest => [digest.toString('latin1'), digest]));
  const faults = await store.check([...unique.values()], watch);
  const [first] = faults;
  if (first === undefined) return;
  const details = faults.map(({ digest, state }) => `${digest.toString('hex')} is ${state}`);
  const what = faults.length === 1 ? 'An object' : `${String(faults.length)} objects`;
  throw new ImageUnpackerError(
    'STORE_DAMAGED',
    `${what} of the store ${store.location} cannot be used; 'imagetool verify' says what needs them`,
    { path: store.location, digest: first.digest.toString('hex'), details },
  );
}
