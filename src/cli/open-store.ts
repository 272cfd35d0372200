import { homedir } from 'node:os';
import { join } from 'node:path';
import { ImageUnpackerError } from '../image/error.js';
import type { CachePlace } from '../store/open.js';
import { connectStore, serverLocation } from '../rpc/connect-store.js';
import { DEFAULT_CACHE_BYTES } from '../store/open.js';
import { readTrustedKeys } from '../store/read-keys.js';
import type { Store } from '../store/store.js';
import { trusting } from '../store/trusting.js';
import type { OptionValues } from './command.js';
import { parseLimits } from './limits.js';
import { fromEnvironment, optional } from './option.js';
import { parseSize } from './size.js';

/** The options that say where images are. */
export const storeOptions = {
  store: fromEnvironment(
    'IMAGE_STORE',
    optional('--store <store>', 'the store: a directory, or s3://BUCKET/PREFIX'),
  ),
  server: optional('--server <server>', 'an image server: HOST:PORT (default port 6971) or unix:PATH'),
  certs: optional(
    '--certs <dir>',
    'ca.pem, cert.pem and key.pem, for TCP; default: /etc/image-unpacker/certs',
  ),
  cache: fromEnvironment(
    'IMAGE_CACHE',
    optional('--cache <dir>', 'where objects of stores that are elsewhere are kept on this machine'),
  ),
  cacheSize: fromEnvironment(
    'IMAGE_CACHE_SIZE',
    optional('--cache-size <size>', 'what is kept there at most; default: 20GiB', parseSize),
  ),
  limits: fromEnvironment(
    'IMAGE_LIMITS',
    optional('--limits <limits>', 'what an image may have at most, such as entries=20000000', parseLimits),
  ),
  trustedKeys: fromEnvironment(
    'IMAGE_TRUSTED_KEYS',
    optional(
      '--trusted-keys <file>',
      'public keys in PEM: only images that are signed with one of them are read',
    ),
  ),
};

type StoreOptions = OptionValues<typeof storeOptions>;

/** Where the store is that the options name. Throws `USAGE`. */
export function locationOf({ store, server }: Pick<StoreOptions, 'store' | 'server'>): string {
  if (server !== undefined) return serverLocation(server);
  if (store === undefined) {
    const message =
      'No store is given: use --store DIR, --store s3://BUCKET/PREFIX, --server HOST:PORT, or set IMAGE_STORE';
    throw new ImageUnpackerError('USAGE', message);
  }
  return store;
}

/** Where objects of stores that are elsewhere are kept on this machine. */
export function cacheOf({ cache, cacheSize }: Pick<StoreOptions, 'cache' | 'cacheSize'>): CachePlace {
  return { directory: cache ?? defaultCache(), maxBytes: cacheSize ?? DEFAULT_CACHE_BYTES };
}

/** Opens the store that the options name, which exists. Throws as `locationOf`, and `STORE_MISSING`. */
export async function openStore(options: StoreOptions, signal: AbortSignal, create = false): Promise<Store> {
  const location = locationOf(options);
  const keys = options.trustedKeys === undefined ? undefined : await readTrustedKeys(options.trustedKeys);
  const store = await connectStore(location, {
    create,
    signal,
    limits: options.limits,
    cache: cacheOf(options),
    certs: options.certs,
  });
  return keys === undefined ? store : trusting(store, keys);
}

/** Does `work` with the store that the options name, and closes it after. */
export async function withStore<T>(
  options: StoreOptions,
  signal: AbortSignal,
  work: (store: Store) => Promise<T>,
): Promise<T> {
  const store = await openStore(options, signal);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

function defaultCache(): string {
  if (process.getuid?.() === 0) return '/var/cache/image-unpacker';
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'image-unpacker');
}
