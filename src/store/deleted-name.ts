import * as v from 'valibot';
import { isHexDigest } from '../image/digest.js';
import { ImageUnpackerError } from '../image/error.js';
import { seal, unseal } from '../image/sealed.js';

/*
 * What stays of an image that was deleted, so that its name never comes to mean another content unnoticed; a sealed
 * record (image/sealed.ts):
 *
 *   name     of the image
 *   digest   of the image, hex
 */

/** The name of an image that was deleted, and what it was. */
export interface DeletedName {
  name: string;
  digest: string;
}

const schema = v.strictObject({
  name: v.string(),
  digest: v.pipe(v.string(), v.check(isHexDigest, 'is no digest')),
});

export function encodeDeletedName({ name, digest }: DeletedName): Buffer {
  return Buffer.from(seal({ name, digest }));
}

/** Throws `STORE_DAMAGED`, naming the place. */
export function decodeDeletedName(text: Buffer, place: string): DeletedName {
  const result = v.safeParse(schema, unseal(text, place, 'STORE_DAMAGED'));
  if (result.success) return result.output;
  throw new ImageUnpackerError('STORE_DAMAGED', `${place} is damaged: it is no deleted name`, {
    path: place,
  });
}
