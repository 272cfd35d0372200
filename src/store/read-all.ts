import { inParallel } from '../image/in-parallel.js';
import type { Changed, Store, StoreChanges } from './store.js';

/** Images whose disk maps are asked for at once: a store may be far away. */
const ASKED_AT_ONCE = 8;

/** All images, channels and lists of disk maps of a store, as far as they can be read. */
export async function readAll(store: Store): Promise<Omit<StoreChanges, 'position' | 'isWhole'>> {
  const images: StoreChanges['images'] = new Map();
  const channels: StoreChanges['channels'] = new Map();
  const diskMaps: StoreChanges['diskMaps'] = new Map();
  const listed = await store.list(undefined, (name, error) => images.set(name, error));
  for (const record of listed) images.set(record.name, record);
  for (const channel of await store.channels(undefined, (name, error) => channels.set(name, error)))
    channels.set(`${channel.stream}/${channel.name}`, channel);
  const digests = [...new Set(listed.map(({ digest }) => digest))];
  await inParallel(digests, ASKED_AT_ONCE, async digest => {
    const maps = await store.diskMaps(digest);
    if (maps.length > 0) diskMaps.set(digest, maps);
  });
  return { images, channels, diskMaps };
}

/** Those that can be read. */
export function readable<T extends object>(all: ReadonlyMap<string, Changed<T>>): T[] {
  return [...all.values()].filter((each): each is T => each !== undefined && !(each instanceof Error));
}
