import { ImageUnpackerError } from '../image/error.js';
import type { ObjectFault } from './store.js';

/** Throws `STORE_DAMAGED`, naming all of the objects that are missing or damaged in the store at `location`, if any are. */
export function requireObjects(location: string, faults: readonly ObjectFault[]): void {
  const [first] = faults;
  if (first === undefined) return;
  const details = faults.map(({ digest, state }) => `${digest.toString('hex')} is ${state}`);
  const others = faults.length === 1 ? '' : `, and so are ${String(faults.length - 1)} others`;
  throw new ImageUnpackerError(
    'STORE_DAMAGED',
    `In the store ${location} the object ${details[0]!}${others}; 'imagetool verify' says what needs them`,
    { path: location, digest: first.digest.toString('hex'), details },
  );
}
