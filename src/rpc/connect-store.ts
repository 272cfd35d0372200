import { ImageUnpackerError } from '../image/error.js';
import type { OpenStoreOptions } from '../store/open.js';
import { openStoreAt } from '../store/open.js';
import type { Store } from '../store/store.js';
import { IMAGE_SERVER_PORT, parseAddress, showAddress } from './address.js';
import { CERTIFICATE_DIRECTORY } from './certificates.js';

/** How the store of an image server is called: this, and HOST:PORT or unix:PATH. */
const SCHEME = 'imageserver://';

/** What the store of the image server at an address is called. Throws `USAGE` for what is no address. */
export function serverLocation(address: string): string {
  return `${SCHEME}${showAddress(parseAddress(address, IMAGE_SERVER_PORT))}`;
}

/** Whether a store is that of an image server. */
export function isServerLocation(location: string): boolean {
  return location.startsWith(SCHEME);
}

export interface ConnectStoreOptions extends OpenStoreOptions {
  /** The directory of the certificates; TCP takes them. */
  certs?: string | undefined;
}

/**
 * Opens a store wherever it is: a directory, s3://bucket/prefix, or imageserver://ADDRESS. Throws as `openStoreAt`, and for servers
 * `TIMEOUT` when there is none, `CONFIGURATION` for certificates that are not good, `NO_PERMISSION`.
 */
export async function connectStore(location: string, options: ConnectStoreOptions): Promise<Store> {
  if (!isServerLocation(location)) return openStoreAt(location, options);
  const [{ connectImageServer }, { RemoteStore }] = await Promise.all([
    import('./image-server-client.js'),
    import('../store/remote/store.js'),
  ]);
  const address = location.slice(SCHEME.length);
  const certs = options.certs ?? CERTIFICATE_DIRECTORY;
  const server = await connectImageServer(address, location, { certs, signal: options.signal });
  return new RemoteStore(server, options);
}

/** Throws `UNSUPPORTED`: what is done where a store is, `what`, a server is not asked for. */
export function refuseServer(location: string, what: string): void {
  if (!isServerLocation(location)) return;
  const message = `An image server does not ${what} for others; run this on its machine, with --store`;
  throw new ImageUnpackerError('UNSUPPORTED', message);
}
