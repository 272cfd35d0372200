import { ImageUnpackerError } from '../../image/error.js';
import { parseImageName } from '../../image/name.js';
import { decodeChannel } from '../channel.js';
import { isDamage } from '../damage.js';
import { decodeRecord } from '../record.js';
import type { StoreChanges } from '../store.js';
import type { RecordChanges } from './connection.js';

/** SHA-256. */
const MAP_DIGEST_BYTES = 32;

/**
 * What a server told of changes, whose store is called `location`. A record that is none, or another one's, is as good as
 * one that the server cannot read.
 */
export function decodeChanges({ position, isWhole, changes }: RecordChanges, location: string): StoreChanges {
  const found: StoreChanges = {
    position,
    isWhole,
    images: new Map(),
    channels: new Map(),
    diskMaps: new Map(),
  };
  for (const { kind, name, record, damage } of changes) {
    const read = <T>(decode: (bytes: Buffer) => T): T | ImageUnpackerError | undefined => {
      if (damage !== undefined) return new ImageUnpackerError('STORE_DAMAGED', damage, { path: location });
      return record && orDamage(() => decode(record));
    };
    const place = `${location}: the record of ${name}`;
    if (kind === 'image')
      found.images.set(
        name,
        read(bytes => imageIn(bytes, name, place)),
      );
    else if (kind === 'channel')
      found.channels.set(
        name,
        read(bytes => channelIn(bytes, name, place)),
      );
    else found.diskMaps.set(name, splitMapDigests(record ?? Buffer.alloc(0), location));
  }
  return found;
}

function imageIn(bytes: Buffer, name: string, place: string) {
  const image = decodeRecord(bytes, place);
  if (image.name === name) return image;
  throw new ImageUnpackerError('STORE_DAMAGED', `${place} is that of another image`);
}

function channelIn(bytes: Buffer, name: string, place: string) {
  const { stream, leaf } = parseImageName(name);
  return decodeChannel(bytes, place, { stream, name: leaf });
}

/** The digests of disks in a row. */
export function splitMapDigests(row: Buffer, location: string): Buffer[] {
  if (row.length % MAP_DIGEST_BYTES !== 0)
    throw new ImageUnpackerError('INTERNAL', `${location} answered with a part of a digest of a disk map`);
  return Array.from({ length: row.length / MAP_DIGEST_BYTES }, (_, at) =>
    row.subarray(at * MAP_DIGEST_BYTES, (at + 1) * MAP_DIGEST_BYTES),
  );
}

function orDamage<T>(decode: () => T): T | ImageUnpackerError {
  try {
    return decode();
  } catch (reason) {
    if (isDamage(reason)) return reason;
    throw reason;
  }
}
