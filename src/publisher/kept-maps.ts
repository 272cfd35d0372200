import type { DiskMaps } from '../cloud/cloud.js';
import { TAG } from '../cloud/cloud.js';
import type { Store } from '../store/store.js';

/** The maps of disks, kept in a store beside the images that they are of; without a store none is known or kept. */
export function keptMaps(store: Store | undefined): DiskMaps {
  return {
    find: async (tags, digest) => {
      const image = tags[TAG.imageDigest];
      return image === undefined ? undefined : store?.diskMap(image, Buffer.from(digest, 'hex'));
    },
    keep: async (tags, map) => {
      const image = tags[TAG.imageDigest];
      if (image !== undefined) await store?.keepDiskMap(image, map);
    },
  };
}
