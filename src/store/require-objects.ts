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
  const others = faults.length === 1 ? '' : `, and so are ${String(faults.length - 1)} others`;
  throw new ImageUnpackerError(
    'STORE_DAMAGED',
    `In the store ${store.location} the object ${details[0]!}${others}; 'imagetool verify' says what needs them`,
    { path: store.location, digest: first.digest.toString('hex'), details },
  );
}
