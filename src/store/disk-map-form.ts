import type { DiskMap } from '../image/disk-map.js';
import { decodeDiskMap, diskDigest, encodeDiskMap } from '../image/disk-map.js';
import { isHexDigest } from '../image/digest.js';
import { ImageUnpackerError } from '../image/error.js';

/** As much as the map of a disk of 4 TiB that is full has; it is in memory as a whole. */
export const MAX_DISK_MAP_BYTES = 257 << 20;
/** The SHA-256 that a disk has as its digest, in hex. */
const DISK_DIGEST = /^[0-9a-f]{64}$/;

/** A map as it is kept, and what it is called: the digest of its disk, in hex. Throws `LIMIT_EXCEEDED`. */
export function toStoredMap(map: DiskMap): { name: string; bytes: Buffer } {
  const bytes = encodeDiskMap(map);
  if (bytes.length <= MAX_DISK_MAP_BYTES) return { name: diskDigest(map).toString('hex'), bytes };
  const message = `The map of the disk has ${String(bytes.length)} bytes; a store keeps at most ${String(MAX_DISK_MAP_BYTES)}`;
  throw new ImageUnpackerError('LIMIT_EXCEEDED', message);
}

/** The map in `bytes`, which were kept at `place` under `name`. Throws `STORE_DAMAGED` unless they are that map. */
export function fromStoredMap(bytes: Buffer, name: string, place: string): DiskMap {
  try {
    const map = decodeDiskMap(bytes);
    if (diskDigest(map).toString('hex') === name) return map;
  } catch (reason) {
    if (!(reason instanceof ImageUnpackerError) || reason.code !== 'STORE_DAMAGED') throw reason;
  }
  const message = `The disk map ${place} is damaged: it is not that of its disk; delete it, or keep the map again`;
  throw new ImageUnpackerError('STORE_DAMAGED', message, { path: place });
}

/** Whether `name` can be that of a kept map. */
export function isMapName(name: string): boolean {
  return DISK_DIGEST.test(name);
}

/** Throws `INTERNAL` unless `digest` can be that of an image, as it becomes part of a path. */
export function checkImageDigest(digest: string): void {
  if (isHexDigest(digest)) return;
  throw new ImageUnpackerError('INTERNAL', `${JSON.stringify(digest)} is no digest of an image`);
}
