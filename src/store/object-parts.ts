import { resolve } from 'node:path';
import { LocalParts } from './local/parts.js';
import { LocalStore } from './local/store.js';
import type { Store } from './store.js';

/**
 * What a server needs of a store besides, to hand objects out piece by piece. What is read this way is NOT verified:
 * whoever puts the pieces together hashes the whole.
 */
export interface ObjectParts {
  /** The size of each object in bytes; undefined of one that is not there. */
  sizes(digests: readonly Buffer[]): Promise<(number | undefined)[]>;
  /**
   * The bytes of an object from `start` on, up to `end`; each piece is good until the next one is asked for. Throws `STORE_DAMAGED` when it is missing or
   * ends before.
   */
  part(digest: Buffer, start: number, end: number): AsyncIterable<Buffer>;
  /** The same as `sizes` of what need not be stored any more, where that is stored elsewhere than it is read. */
  sizesToStore?(digests: readonly Buffer[]): Promise<(number | undefined)[]>;
}

/** A store that says itself how its objects are read piece by piece. */
export interface StoreWithParts extends Store {
  readonly parts: ObjectParts;
}

/** The sizes of those of the objects that need not be stored any more. */
export async function sizesToStore(
  parts: ObjectParts,
  digests: readonly Buffer[],
): Promise<(number | undefined)[]> {
  return parts.sizesToStore?.(digests) ?? parts.sizes(digests);
}

/** The parts of the objects of any store; of one that cannot seek they are read from the beginning. */
export function partsOf(store: Store | StoreWithParts): ObjectParts {
  if ('parts' in store) return store.parts;
  if (store instanceof LocalStore) return new LocalParts(store, resolve(store.location));
  if ('sizes' in store && 'part' in store) return store as unknown as ObjectParts;
  return {
    sizes: async digests => {
      const { faults, sizes } = await store.check(digests, {});
      const missing = new Set(faults.map(({ digest }) => digest.toString('latin1')));
      return digests.map((digest, at) => (missing.has(digest.toString('latin1')) ? undefined : sizes[at]!));
    },
    part: (digest, start, end) => cut(store.stream(digest), start, end),
    ...('sizesToStore' in store && {
      sizesToStore: digests => (store as unknown as Required<ObjectParts>).sizesToStore(digests),
    }),
  };
}

async function* cut(
  chunks: AsyncIterable<Buffer>,
  start: number,
  end: number,
): AsyncGenerator<Buffer, void, undefined> {
  let at = 0;
  for await (const chunk of chunks) {
    const part = chunk.subarray(Math.max(start - at, 0), Math.max(end - at, 0));
    at += chunk.length;
    if (part.length > 0) yield part;
    if (at >= end) return;
  }
}
