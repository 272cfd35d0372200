import type { Dirent } from 'node:fs';
import { join } from 'node:path';
import { isHexDigest } from '../../image/digest.js';
import { parseImageName } from '../../image/name.js';

/*
 * A store in a directory.
 *
 *   format                                 one line: what this directory is, and in which version; flock: shared by who
 *                                          uses the store and may not write a lease, exclusive to delete objects meanwhile
 *   lock                                   flock: shared by who reads or adds objects
 *   objects/sha512/ab/abcd…                objects, mode 0444, by their digests in hex (two digits, all 128)
 *   images/base/debian-12/@2026-11-23      records of images: the stream as directories, "@" and the leaf
 *   channels/base/debian-12/@stable        what a channel names and has named (channel.ts), in the same way
 *   deleted/base/debian-12/@2026-10-01     what a deleted image was (deleted-name.ts), in the same way
 *   disk-maps/abcd…/0123…                  maps of disks: the digest of the image, and of the disk
 *   sources/811-2a                         what is known of the files of a source directory (source/known-files.ts)
 *   tmp/SESSION/…                          what is not finished, one directory a process, flock: exclusive
 *   tmp/SESSION/began                      its mtime is when that process began; it is there before it stores anything
 *   leases/LEASE                           who uses the store, and which condemned lists he knows (lease.ts), flock: exclusive
 *   condemned/LIST                         objects that are to be deleted (condemned-list.ts), flock: exclusive to delete them
 *   condemned/LIST.rescued                 those that somebody needs after all
 *   damaged/abcd…                          empty: objects that were found damaged, by their digests; may be missing
 *
 * Pages, indexes, annotations and the data of files are all objects. No part of a name begins with "@", so a
 * record and a stream never meet. `lock` is made last: a store without it was never finished. `channels`,
 * `deleted`, `disk-maps`, `leases`, `condemned` and `sources` are made when they are first needed; whatever goes from `sources` is found out again.
 */

export const FORMAT_LINE = 'image-unpacker store 1\n';
export const FORMAT_FILE = 'format';
export const LOCK_FILE = 'lock';
export const OBJECTS = 'objects/sha512';
export const IMAGES = 'images';
export const CHANNELS = 'channels';
export const DELETED = 'deleted';
export const DISK_MAPS = 'disk-maps';
export const SOURCES = 'sources';
export const TEMPORARY = 'tmp';
export const LEASES = 'leases';
export const CONDEMNED = 'condemned';
export const DAMAGED = 'damaged';
export const LEAF_MARK = '@';

/** The directories that objects are spread over. */
export const SHARDS: readonly string[] = Array.from({ length: 256 }, (_, number) =>
  number.toString(16).padStart(2, '0'),
);

/** Where an object lies, from the directory of objects. */
export function objectPath(digest: Buffer): string {
  const hex = digest.toString('hex');
  return join(hex.slice(0, 2), hex);
}

/** Where what is called as an image is lies, from the store, in its directory `top`. Throws `IMAGE_NAME`. */
export function namedPath(top: string, name: string): string {
  const { stream, leaf } = parseImageName(name);
  return join(top, stream, LEAF_MARK + leaf);
}

/** Whether a file in the directory of objects that is called `shard` is an object: what is none is not ours. */
export function isObject(file: Dirent, shard: string): boolean {
  return file.isFile() && isHexDigest(file.name) && file.name.startsWith(shard);
}
