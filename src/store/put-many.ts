import { sha512 } from '../image/digest.js';
import { ImageUnpackerError } from '../image/error.js';
import type { SmallObject, Store } from './store.js';

/** `Store.putMany` of any store. */
export async function putMany(store: Store, objects: readonly SmallObject[]): Promise<boolean[]> {
  if (store.putMany !== undefined) return store.putMany(objects);
  const added: boolean[] = [];
  for (const { digest, bytes } of objects) {
    if (!sha512(bytes).equals(digest)) throw otherDigest(digest);
    added.push((await store.put(bytes)).added);
  }
  return added;
}

/** An object was sent that is another one than was said. */
export function otherDigest(digest: Buffer): ImageUnpackerError {
  const hex = digest.toString('hex');
  const message = `What was sent as the object ${hex} has another digest; send it again`;
  return new ImageUnpackerError('USAGE', message, { digest: hex });
}
