import { createHash } from 'node:crypto';
import type { DiskMap } from '../../image/disk-map.js';
import {
  checkImageDigest,
  fromStoredMap,
  isMapName,
  MAX_DISK_MAP_BYTES,
  toStoredMap,
} from '../disk-map-form.js';
import type { Bucket } from './bucket.js';
import { DISK_MAPS } from './layout.js';

/** The maps of disks that were made of the images in a store on S3. */
export class S3DiskMaps {
  readonly #bucket: Bucket;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  /** The map of a disk; undefined if none is kept. Throws `STORE_DAMAGED`. */
  async read(imageDigest: string, diskDigest: Buffer): Promise<DiskMap | undefined> {
    checkImageDigest(imageDigest);
    const name = diskDigest.toString('hex');
    const key = `${DISK_MAPS}${imageDigest}/${name}`;
    const found = await this.#bucket.get(key, MAX_DISK_MAP_BYTES);
    return found === undefined
      ? undefined
      : fromStoredMap(found.bytes, name, `${this.#bucket.location}/${key}`);
  }

  /** The digests of the disks whose maps are kept, sorted. */
  async list(imageDigest: string): Promise<Buffer[]> {
    checkImageDigest(imageDigest);
    const below = `${DISK_MAPS}${imageDigest}/`;
    const names: string[] = [];
    for await (const { key } of this.#bucket.list(below)) names.push(key.slice(below.length));
    return names
      .filter(isMapName)
      .sort()
      .map(name => Buffer.from(name, 'hex'));
  }

  /** Keeps a map. */
  async keep(imageDigest: string, map: DiskMap): Promise<void> {
    checkImageDigest(imageDigest);
    const { name, bytes } = toStoredMap(map);
    const key = `${DISK_MAPS}${imageDigest}/${name}`;
    const md5 = `"${createHash('md5').update(bytes).digest('hex')}"`;
    if ((await this.#bucket.head(key))?.etag !== md5) await this.#bucket.put(key, bytes);
  }
}
