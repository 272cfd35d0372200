import { resolve } from 'node:path';
import { ImageUnpackerError } from '../image/error.js';
import type { Limits } from '../image/settable-limits.js';
import type { Collection, CollectOptions } from './collection.js';
import { isS3Location } from './s3/location.js';
import type { Store } from './store.js';

/** Where objects of stores that are elsewhere are kept on this machine. */
export interface CachePlace {
  directory: string;
  maxBytes: number;
}

/** What a cache may have unless it is said otherwise: a few large images. */
export const DEFAULT_CACHE_BYTES = 20 * 2 ** 30;

export interface OpenStoreOptions {
  /** Whether to make the store if there is none. */
  create?: boolean;
  signal?: AbortSignal | undefined;
  limits?: Limits | undefined;
  cache: CachePlace;
}

/** What a store's name says as a URL does, whatever the directory in which it is said. */
export function isStoreUrl(location: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(location);
}

/** The name of a store, as it is the same in every directory. */
export function absoluteLocation(location: string): string {
  return isStoreUrl(location) ? location : resolve(location);
}

/**
 * Opens the store that is called `location`: a directory, or s3://bucket/prefix. Throws `STORE_MISSING` when there is
 * none, `UNSUPPORTED` for another kind. Nothing of S3 is loaded for a directory.
 */
export async function openStoreAt(location: string, options: OpenStoreOptions): Promise<Store> {
  if (isS3Location(location)) {
    const { openS3Store } = await loadS3(() => import('./s3/open.js'));
    return openS3Store(location, options);
  }
  if (isStoreUrl(location)) throw unsupported(location);
  const { openLocalStore } = await import('./local/store.js');
  return openLocalStore(location, options);
}

/** Whether there is a store that is called so. Throws when something else is there. */
export async function storeExists(location: string, options: OpenStoreOptions): Promise<boolean> {
  if (!isStoreUrl(location)) {
    const { isStore } = await import('./local/open-directory.js');
    return isStore(resolve(location));
  }
  try {
    await (await openStoreAt(location, { ...options, create: false })).close();
    return true;
  } catch (reason) {
    const isMissing = reason instanceof ImageUnpackerError && reason.code === 'STORE_MISSING';
    if (isMissing && reason.cause === undefined) return false;
    throw reason;
  }
}

/** Deletes the objects that no image needs; `keepFor` is how many seconds an object on S3 must be old for that. */
export async function collectAt(
  location: string,
  options: CollectOptions & { keepFor: number },
): Promise<Collection> {
  if (isS3Location(location)) {
    const { collectS3 } = await loadS3(() => import('./s3/collect.js'));
    return collectS3(location, options);
  }
  if (isStoreUrl(location)) throw unsupported(location);
  const { collect } = await import('./local/collect.js');
  return collect(location, options);
}

async function loadS3<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (reason) {
    // The latter where the program is packed: it has what it imports by `require`.
    const codes = ['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'];
    if (!codes.includes((reason as NodeJS.ErrnoException).code ?? '')) throw reason;
    const message =
      "Stores on S3 need the package @aws-sdk/client-s3, which is not installed; 'npm install @aws-sdk/client-s3' does that";
    throw new ImageUnpackerError('UNSUPPORTED', message, {}, reason);
  }
}

function unsupported(location: string): ImageUnpackerError {
  const message = `There is no such kind of store as ${location}; name a directory or s3://BUCKET/PREFIX`;
  return new ImageUnpackerError('UNSUPPORTED', message);
}
