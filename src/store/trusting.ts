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
  return replacing(store, { image });
}

/** The store, but it takes only images that one of the keys has signed; others are `IMAGE_UNTRUSTED`. */
export function admitting(store: Store, keys: readonly TrustedKey[]): Store {
  const create: Store['create'] = async (record, options) => {
    checkSignature(record, keys);
    await store.create(record, options);
  };
  const replace: Store['replace'] = async (next, expected) => {
    checkSignature(next, keys);
    await store.replace(next, expected);
  };
  return replacing(store, { create, replace });
}

/** The store, with other methods in place of some of its own. */
function replacing(store: Store, methods: Partial<Store>): Store {
  return new Proxy(store, {
    get(target, property) {
      if (property in methods) return Reflect.get(methods, property) as unknown;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
