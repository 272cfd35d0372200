import { DIGEST_BYTES } from '../image/digest.js';
import { ImageUnpackerError } from '../image/error.js';

/** Limits and forms of the messages of an image server. */

/** The record of a channel, and what it is in, fit in. */
export const MAX_SERVER_MESSAGE_BYTES = 4 << 20;
/** Objects that one call is about: their digests and sizes have less than a message may have. */
export const MAX_CALL_OBJECTS = 16_384;
/** Records in one message of a list; each has at most a mebibyte. */
export const RECORD_BYTES_AT_ONCE = 1 << 20;

/** Path prefixes of what comes over HTTP. */
export const OBJECTS_PATH = '/v1/objects';
/** Where sizes are asked for: over gRPC, whose servers take 64 KiB before they have to acknowledge it, each thousand digests would take a trip. */
export const SIZES_PATH = '/v1/sizes';
export const UPLOADS_PATH = '/v1/uploads';
export const DERIVED_PATH = '/v1/derived';
export const DISK_MAPS_PATH = '/v1/disk-maps';
/** Where the bytes of an upload begin in the object, and how many it has in all; the names are those of draft-ietf-httpbis-resumable-upload. */
export const UPLOAD_OFFSET = 'upload-offset';
export const UPLOAD_LENGTH = 'upload-length';

/** Objects in as many parts as calls take. */
export function partsOf<T>(items: readonly T[], most = MAX_CALL_OBJECTS): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < items.length; at += most) parts.push(items.slice(at, at + most));
  return parts;
}

/** A digest of a message. Throws `USAGE`. */
export function checkDigest(digest: Buffer): Buffer {
  if (digest.length === DIGEST_BYTES) return digest;
  throw new ImageUnpackerError('USAGE', `A digest has ${String(DIGEST_BYTES)} bytes`);
}

/** What a server answered that no server of ours answers. */
export function malformed(what: string): ImageUnpackerError {
  return new ImageUnpackerError(
    'INTERNAL',
    `The image server answered with ${what}; is it one of this version?`,
  );
}
