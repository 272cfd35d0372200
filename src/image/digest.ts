import { createHash } from 'node:crypto';

/** The length of a SHA-512 digest in bytes. */
export const DIGEST_BYTES = 64;

/** SHA-512 (FIPS 180-4), the name of every object, page and index. */
export function sha512(bytes: Uint8Array): Buffer {
  return createHash('sha512').update(bytes).digest();
}

const HEX_DIGEST = /^[0-9a-f]{128}$/;

/** Whether `text` is a SHA-512 digest as it is written: 128 lower-case hex digits. */
export function isHexDigest(text: string): boolean {
  return HEX_DIGEST.test(text);
}
