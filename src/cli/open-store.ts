import { ImageUnpackerError } from '../image/error.js';
import type { LocalStore } from '../store/local/store.js';
import type { OptionValues } from './command.js';
import { parseLimits } from './limits.js';
import { fromEnvironment, optional } from './option.js';

/** The options that say where images are. */
export const storeOptions = {
  store: fromEnvironment('IMAGE_STORE', optional('--store <dir>', 'the store: a directory')),
  server: optional('--server <server>', 'an image server: HOST:PORT or unix:PATH'),
  limits: fromEnvironment(
    'IMAGE_LIMITS',
    optional('--limits <limits>', 'what an image may have at most, such as entries=20000000', parseLimits),
  ),
};

type StoreOptions = OptionValues<typeof storeOptions>;

/** The directory of the store that the options name. Throws `USAGE`, and `UNSUPPORTED` for other stores. */
export function locationOf({ store, server }: Pick<StoreOptions, 'store' | 'server'>): string {
  if (server !== undefined) throw unsupported(`--server ${server}: image servers`);
  if (store === undefined) {
    throw new ImageUnpackerError('USAGE', 'No store is given: use --store DIR or set IMAGE_STORE');
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(store))
    throw unsupported(`--store ${store}: stores other than directories`);
  return store;
}

/** Opens the store that the options name, which exists. Throws as `locationOf`, and `STORE_MISSING`. */
export async function openStore(options: StoreOptions, signal: AbortSignal): Promise<LocalStore> {
  const location = locationOf(options);
  const { openLocalStore } = await import('../store/local/store.js');
  return openLocalStore(location, { signal, limits: options.limits });
}

/** Does `work` with the store that the options name, and closes it after. */
export async function withStore<T>(
  options: StoreOptions,
  signal: AbortSignal,
  work: (store: LocalStore) => Promise<T>,
): Promise<T> {
  const store = await openStore(options, signal);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

function unsupported(what: string): ImageUnpackerError {
  return new ImageUnpackerError('UNSUPPORTED', `${what} are not available in this version; use --store DIR`);
}
