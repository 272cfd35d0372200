import { createHash } from 'node:crypto';
import { formatUuid } from './superblock.js';

/*
 * Who a volume is: a function of its stream and layout, and, where that is chosen, of the image on it, so that
 * independent unpackers give it the same UUIDs; and marks by which a file system and a disk are known to be ours
 * whatever machine they are attached to.
 *
 *   seed  = half check               the seed of directory hashes, 16 bytes, which nothing else depends on
 *   half  = 8 bytes                  derived from stream and layout
 *   check = 8 bytes                  the first of SHA-256("image-unpacker volume\0" half)
 *   disk  = half check               the GUID of a disk, with "image-unpacker disk\0" in the check; of both halves
 *                                    the bits that make it a UUID of version 8 are as RFC 9562 has them
 */

/** How an image is laid out on a device. */
export type Layout = 'whole' | 'disk';

/** What a new file system is called. */
export interface VolumeIdentity {
  uuid: string;
  /** Whether the UUID is to change with the image. */
  renamable?: boolean;
  hashSeed: Buffer;
}

/** What a disk and its partitions are called. */
export interface DiskIdentity {
  disk: string;
  biosBoot: string;
  esp: string;
  root: string;
  /** The UUID of the root file system. */
  uuid: string;
}

const HALF_BYTES = 8;

/** The identity of the volume of a stream. */
export function volumeIdentity(stream: string, layout: Layout): VolumeIdentity {
  const derived = (what: string): Buffer => derive(what, layout, stream);
  const half = derived('seed').subarray(0, HALF_BYTES);
  const check = checkOf('volume', half);
  return { uuid: formatUuid(version8(derived('uuid'))), hashSeed: Buffer.concat([half, check]) };
}

/** The identity of the disk of a stream; with the digest of an image, that of the disk of that image alone. */
export function diskIdentity(stream: string, digest?: string): DiskIdentity {
  const subject = digest === undefined ? stream : `${stream}\0${digest}`;
  const uuid = (what: string): string => formatUuid(version8(derive(what, 'disk', subject)));
  return {
    disk: markedDisk(derive('disk', 'disk', subject)),
    biosBoot: uuid('bios-boot'),
    esp: uuid('esp'),
    root: uuid('root'),
    uuid: uuid('uuid'),
  };
}

/** Whether the seed of directory hashes marks a file system as ours. */
export function isOurs(hashSeed: Buffer): boolean {
  return checkOf('volume', hashSeed.subarray(0, HALF_BYTES)).equals(hashSeed.subarray(HALF_BYTES));
}

/** Whether the GUID of a disk marks it as ours. */
export function isOurDisk(guid: string): boolean {
  return markedDisk(Buffer.from(guid.replaceAll('-', ''), 'hex')) === guid;
}

function markedDisk(bytes: Buffer): string {
  const half = version8(bytes).subarray(0, HALF_BYTES);
  return formatUuid(version8(Buffer.concat([half, checkOf('disk', half)])));
}

function derive(what: string, layout: Layout, subject: string): Buffer {
  return createHash('sha256').update(`image-unpacker ${what}\0${layout}\0${subject}`).digest();
}

function checkOf(what: string, half: Buffer): Buffer {
  return createHash('sha256')
    .update(`image-unpacker ${what}\0`)
    .update(half)
    .digest()
    .subarray(0, HALF_BYTES);
}

/** The first 16 bytes as a UUID of version 8, whose other bits are ours to choose (RFC 9562, section 5.8). */
function version8(bytes: Buffer): Buffer {
  const uuid = Buffer.from(bytes.subarray(0, 16));
  uuid[6] = (uuid[6]! & 0x0f) | 0x80;
  uuid[8] = (uuid[8]! & 0x3f) | 0x80;
  return uuid;
}
