import type { DiskMaps } from '../cloud/cloud.js';
import { TAG } from '../cloud/cloud.js';
import type { DiskMap } from '../image/disk-map.js';
import type { Store } from '../store/store.js';

/** Maps that are remembered: as many as one stream's targets have different parents, mostly. */
const MOST_REMEMBERED = 8;

/**
 * The maps of disks, kept in a store beside the images that they are of; without a store none is known or kept. Targets
 * have the same few disks, so each map is read once, and all of them share what was read; nobody may change it.
 */
export function keptMaps(store: Store | undefined): DiskMaps {
  const remembered = new Map<string, Promise<DiskMap | undefined>>();
  const kept = new WeakMap<DiskMap, { image: string; done: Promise<void> }>();
  return {
    find: async (tags, digest) => {
      const image = tags[TAG.imageDigest];
      if (image === undefined || store === undefined) return undefined;
      const key = `${image} ${digest}`;
      let map = remembered.get(key);
      if (map === undefined) {
        map = store.diskMap(image, Buffer.from(digest, 'hex'));
        remembered.set(key, map);
        if (remembered.size > MOST_REMEMBERED) remembered.delete(remembered.keys().next().value!);
      }
      const found = await map.catch((reason: unknown) => {
        remembered.delete(key);
        throw reason;
      });
      // It may be kept later.
      if (found === undefined) remembered.delete(key);
      return found;
    },
    keep: async (tags, map) => {
      const image = tags[TAG.imageDigest];
      if (image === undefined || store === undefined) return;
      let known = kept.get(map);
      if (known?.image !== image) {
        known = { image, done: store.keepDiskMap(image, map) };
        kept.set(map, known);
        known.done.catch(() => kept.delete(map));
      }
      await known.done;
    },
  };
}
