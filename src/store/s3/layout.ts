import { parseImageName } from '../../image/name.js';

/*
 * A store on S3. All keys begin with the prefix that the user gave.
 *
 *   format                                 one line: what this is, and in which version
 *   objects/ab/abcd…                       objects, by their digests in hex (two digits, all 128)
 *   images/base/debian-12/@2026-11-23      records of images, or in their place what a deleted image was
 *   channels/base/debian-12/@stable        channels
 *   disk-maps/abcd…/0123…                  maps of disks: the digest of the image, and of the disk
 *   complete/BUCKET/abcd…                  there: all objects of the image with this digest are in this bucket
 *   leases/SESSION                         who reads or stores objects (lease.ts)
 *   condemned/LIST                         objects that are to be deleted
 *   deleting/LIST                          there: that has begun
 *   rescued/LIST/SESSION-NUMBER            condemned objects that are needed again
 *   collector                              who collects; only one does at a time
 *
 * S3 itself may copy a bucket to another one (replication), in any order. So a record says nothing about whether the
 * objects are there; `complete` has the name of the bucket in it, so that what is said of one is not believed of its copy.
 */

export const FORMAT_KEY = 'format';
export const FORMAT_LINE = 'image-unpacker s3 store 1\n';
export const OBJECTS = 'objects/';
export const IMAGES = 'images/';
export const CHANNELS = 'channels/';
export const DISK_MAPS = 'disk-maps/';
export const COMPLETE = 'complete/';
export const LEASES = 'leases/';
export const CONDEMNED = 'condemned/';
export const DELETING = 'deleting/';
export const COLLECTOR = 'collector';
export const RESCUED = 'rescued/';

/** What the keys of objects begin with, so that all are listed in as many parts at once. */
export const SHARDS: readonly string[] = Array.from({ length: 16 }, (_, digit) => digit.toString(16));

export function objectKey(digest: Buffer): string {
  const hex = digest.toString('hex');
  return `${OBJECTS}${hex.slice(0, 2)}/${hex}`;
}

/** The key of what is called as an image is. Throws `IMAGE_NAME`. */
export function namedKey(top: string, name: string): string {
  const { stream, leaf } = parseImageName(name);
  return `${top}${stream}/@${leaf}`;
}

/** The name of which `key` is the key; undefined if it is none. */
export function nameOfKey(top: string, key: string): string | undefined {
  const [, stream, leaf] = /^(.+)\/@([^@/]+)$/.exec(key.slice(top.length)) ?? [];
  return stream === undefined || leaf === undefined ? undefined : `${stream}/${leaf}`;
}
