import { checkSignature, type TrustedKey } from './signature.js';
import type { ImageRecord, Store } from './store.js';

/**
 * The store, but it gives only images that one of the keys has signed; others are `IMAGE_UNTRUSTED`. What `list` tells of
 * them stays, so that a person sees what there is.
 */
export function trusting(store: Store, keys: readonly TrustedKey[]): Store {
  const image = async (name: string): Promise<ImageRecord> => {
    const record = await store.image(name);
    checkSignature(record, keys);
    return record;
  };
  return new Proxy(store, {
    get(target, property) {
      if (property === 'image') return image;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
