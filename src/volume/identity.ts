import { createHash } from 'node:crypto';
import { formatUuid } from './superblock.js';

/*
 * Who a volume is: a function of its stream and layout, so that independent unpackers give it the same
 * UUIDs, and a mark by which a file system is known to be ours whatever machine it is attached to.
 *
 *   seed  = half check               the seed of directory hashes, 16 bytes, which nothing else depends on
 *   half  = 8 bytes                  derived from stream and layout
 *   check = 8 bytes                  the first of SHA-256("image-unpacker volume\0" half)
 */

/** How an image is laid out on a device. */
export type Layout = 'whole' | 'disk';

/** What a new file system is called. */
export interface VolumeIdentity {
  uuid: string;
  hashSeed: Buffer;
}

const HALF_BYTES = 8;

/** The identity of the volume of a stream. */
export function volumeIdentity(stream: string, layout: Layout): VolumeIdentity {
  const derived = (what: string): Buffer =>
    createHash('sha256').update(`image-unpacker ${what}\0${layout}\0${stream}`).digest();
  const half = derived('seed').subarray(0, HALF_BYTES);
  return { uuid: uuidFrom(derived('uuid')), hashSeed: Buffer.concat([half, checkOf(half)]) };
}

/** Whether the seed of directory hashes marks a file system as ours. */
export function isOurs(hashSeed: Buffer): boolean {
  return checkOf(hashSeed.subarray(0, HALF_BYTES)).equals(hashSeed.subarray(HALF_BYTES));
}

function checkOf(half: Buffer): Buffer {
  return createHash('sha256').update('image-unpacker volume\0').update(half).digest().subarray(0, HALF_BYTES);
}

/** A UUID of version 8, whose bits are ours to choose (RFC 9562, section 5.8). */
function uuidFrom(bytes: Buffer): string {
  const uuid = Buffer.from(bytes.subarray(0, 16));
  uuid[6] = (uuid[6]! & 0x0f) | 0x80;
  uuid[8] = (uuid[8]! & 0x3f) | 0x80;
  return formatUuid(uuid);
}
