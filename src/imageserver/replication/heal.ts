import type { Store } from '../../store/store.js';
import type { Heal } from '../damage.js';

/** Brings objects that are damaged in a replica from its source. Both are opened for each: it is seldom needed. */
export function healFrom(openSource: () => Promise<Store>, openReplica: () => Promise<Store>): Heal {
  return async digest => {
    const source = await openSource();
    try {
      // What was noted as damaged is removed when a store that is opened anew begins to store.
      const replica = await openReplica();
      try {
        const stored = await replica.putStream(source.stream(digest));
        return stored.digest.equals(digest);
      } finally {
        await replica.close();
      }
    } finally {
      await source.close();
    }
  };
}
