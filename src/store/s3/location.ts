import { ImageUnpackerError } from '../../image/error.js';

/** Where a store is on S3. */
export interface S3Location {
  bucket: string;
  /** What all keys begin with; empty or ending in a slash. */
  prefix: string;
}

/** Names of buckets, as Amazon has them since 2018. */
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
/** What is safe in every key, and reads the same in a URL; a key has at most 1024 bytes. */
const PREFIX = /^[A-Za-z0-9!_.*'()-]+(?:\/[A-Za-z0-9!_.*'()-]+)*$/;
const MAX_PREFIX_LENGTH = 256;

/** Whether a store is named by a URL of S3. */
export function isS3Location(location: string): boolean {
  return /^s3:\/\//i.test(location);
}

/** Takes `s3://bucket/prefix` apart. Throws `USAGE` saying what is wrong with it. */
export function parseS3Location(location: string): S3Location {
  const [bucket = '', ...rest] = location.slice('s3://'.length).split('/');
  const prefix = rest.join('/').replace(/\/$/, '');
  if (!BUCKET.test(bucket)) throw wrong(location, `${JSON.stringify(bucket)} is no name of a bucket`);
  if (prefix !== '' && (!PREFIX.test(prefix) || prefix.length > MAX_PREFIX_LENGTH))
    throw wrong(location, `${JSON.stringify(prefix)} cannot be the prefix of a store`);
  return { bucket, prefix: prefix === '' ? '' : `${prefix}/` };
}

function wrong(location: string, why: string): ImageUnpackerError {
  const message = `${location} does not name a store: ${why}; write s3://BUCKET/PREFIX`;
  return new ImageUnpackerError('USAGE', message);
}
