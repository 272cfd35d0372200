import { ImageUnpackerError } from '../../image/error.js';
import { Bucket } from './bucket.js';
import { FORMAT_KEY, FORMAT_LINE } from './layout.js';
import { parseS3Location } from './location.js';
import type { S3StoreOptions } from './store.js';
import { S3Store } from './store.js';

/** Opens the store `s3://bucket/prefix`. Throws `STORE_MISSING` when there is none, `USAGE`, `NO_PERMISSION`. */
export async function openS3Store(location: string, options: S3StoreOptions): Promise<S3Store> {
  return new S3Store(await openBucket(location, options), options);
}

/** Opens the bucket of a store, and sees to it that there is a store. Throws as `openS3Store`. */
export async function openBucket(location: string, options: Omit<S3StoreOptions, 'cache'>): Promise<Bucket> {
  const bucket = new Bucket(location, parseS3Location(location), options);
  try {
    await checkFormat(bucket, options.create === true);
    return bucket;
  } catch (reason) {
    bucket.close();
    throw reason;
  }
}

/** Sees to it that there is a store; makes it one if it is asked to. */
async function checkFormat(bucket: Bucket, create: boolean): Promise<void> {
  let found = (await bucket.get(FORMAT_KEY, 1000))?.bytes.toString();
  if (found === undefined && create) {
    for await (const { key } of bucket.list('')) throw foreign(bucket.location, key);
    await bucket.put(FORMAT_KEY, FORMAT_LINE, 'new');
    found = (await bucket.get(FORMAT_KEY, 1000))?.bytes.toString();
  }
  if (found === FORMAT_LINE) return;
  const { location } = bucket;
  if (found === undefined) {
    const message = `There is no store at ${location}; 'imagetool build' makes one`;
    throw new ImageUnpackerError('STORE_MISSING', message, { path: location });
  }
  const message = `The store ${location} is of a version that is not known here: ${JSON.stringify(found.trim())}`;
  throw new ImageUnpackerError('UNSUPPORTED', message, { path: location });
}

function foreign(location: string, key: string): ImageUnpackerError {
  const message = `${location} is not a store: it holds other things, such as ${key}; name a store, or another prefix`;
  return new ImageUnpackerError('STORE_MISSING', message, { path: location });
}
