import { once } from 'node:events';
import type { Logger } from 'pino';
import { healFrom } from '../../imageserver/replication/heal.js';
import { SYSTEM_CLOCK } from '../../imageserver/replication/follow.js';
import { forwardingStore, refusingChanges } from '../../imageserver/replication/replica-store.js';
import { startReplication } from '../../imageserver/replication/start.js';
import { Upstream } from '../../imageserver/replication/upstream.js';
import { startImageServer } from '../../imageserver/server.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { Limits } from '../../image/settable-limits.js';
import { IMAGE_SERVER_PORT, LOCAL_IMAGE_SERVER, parseAddress, showAddress } from '../../rpc/address.js';
import { CERTIFICATE_DIRECTORY } from '../../rpc/certificates.js';
import { connectStore, serverLocation } from '../../rpc/connect-store.js';
import { readTrustedKeys } from '../../store/read-keys.js';
import type { Store } from '../../store/store.js';
import { admitting } from '../../store/trusting.js';
import { ServiceManager } from '../../unpacker/service-manager.js';
import { cacheOf, locationOf } from '../open-store.js';
import { readVersion } from '../program.js';
import { readServerConfiguration } from './configuration.js';
import type { Pushes } from './pushes.js';

/** Calls that are still under way then are cut off. */
const LAST_WORDS_SECONDS = 10;

/** What `serve` is called with. */
interface ServeOptions {
  config: string | undefined;
  listen: readonly string[];
  store: string | undefined;
  replicateFrom: string | undefined;
  replicateCerts: string | undefined;
  pushes: Pushes | undefined;
  certs: string | undefined;
  cache: string | undefined;
  cacheSize: number | undefined;
  limits: Limits | undefined;
  trustedKeys: string | undefined;
  demandContent: boolean;
}

/** Serves a store until `signal` is aborted, then ends in order. */
export async function runImageServer(
  options: ServeOptions,
  { signal, log }: { signal: AbortSignal; log: Logger },
): Promise<void> {
  const file = options.config === undefined ? {} : await readServerConfiguration(options.config);
  const location = locationOf({ store: options.store ?? file.store, server: undefined });
  const certs = options.certs ?? file.certs ?? CERTIFICATE_DIRECTORY;
  const listen = options.listen.length > 0 ? options.listen : (file.listen ?? [LOCAL_IMAGE_SERVER]);
  const cache = cacheOf({
    cache: options.cache ?? file.cache?.directory,
    cacheSize: options.cacheSize ?? file.cache?.size,
  });
  const limits = options.limits ?? file.limits;
  const manager = new ServiceManager(process.env);
  const keysFile = options.trustedKeys ?? file.trustedKeys;
  const keys = keysFile === undefined ? undefined : await readTrustedKeys(keysFile);
  const trusted = (store: Store): Store => (keys === undefined ? store : admitting(store, keys));
  // One that does not exist yet is made: it is what the first upload goes to.
  const openStore = async () => trusted(await connectStore(location, { create: true, limits, cache, certs }));
  const replicateCerts = options.replicateCerts ?? file.replicateCerts ?? certs;
  const source = sourceOf(options.replicateFrom ?? file.replicateFrom);
  const openSource = (from: string, until?: AbortSignal) =>
    connectStore(from, { limits, cache, certs: replicateCerts, signal: until });
  const pushes = options.pushes ?? file.pushes;
  const demandsContent = options.demandContent || file.demandContent === true;
  requireSense({ source, pushes, demandsContent });
  const openServed = async () => {
    const store = await openStore();
    if (source === undefined) return store;
    if (pushes !== 'forward') return refusingChanges(store, source);
    const upstream = new Upstream(source, () => openSource(source, signal));
    return trusted(forwardingStore(store, upstream, { clock: SYSTEM_CLOCK, signal }));
  };
  const addresses = listen.map(each => parseAddress(each, IMAGE_SERVER_PORT));
  const server = await startImageServer({
    addresses,
    certs,
    openStore: openServed,
    demandsContent,
    maxConnections: file.maxConnections,
    // The source looks at what is forwarded; here it has not arrived yet.
    ...(pushes === 'forward' && { requireWhole: () => Promise.resolve() }),
    // Nobody asks before it is begun.
    replication: () => replication?.status(),
    heal: source === undefined ? undefined : healFrom(() => openSource(source), openStore, log),
    version: readVersion(),
    log,
  });
  const replication =
    source === undefined
      ? undefined
      : startReplication({
          source,
          openSource: until => openSource(source, until),
          openDestination: openStore,
          onChange: () => server.changed(),
          log,
        });
  try {
    const shown = server.addresses.map(showAddress);
    for (const address of shown) log.info({ address, store: location }, 'listening');
    manager.ready(`Listening at ${shown.join(', ')}`);
    manager.watch(() => true);
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    manager.stopping();
    await replication?.stop();
    await server.stop(LAST_WORDS_SECONDS);
  }
}

/** What the store of the server at an address is called. */
function sourceOf(address: string | undefined): string | undefined {
  return address === undefined ? undefined : serverLocation(address);
}

/** Throws `USAGE` for options that do not go together. */
function requireSense({
  source,
  pushes,
  demandsContent,
}: {
  source: string | undefined;
  pushes: Pushes | undefined;
  demandsContent: boolean;
}): void {
  if (source === undefined && pushes !== undefined)
    throw new ImageUnpackerError('USAGE', '--pushes is for a replica: give --replicate-from as well');
  if (source !== undefined && demandsContent)
    throw new ImageUnpackerError(
      'USAGE',
      '--demand-content is for the server that images are sent to in the end: give it to the source of this replica',
    );
}
