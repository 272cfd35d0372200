import { once } from 'node:events';
import { resolve } from 'node:path';
import type { Logger } from 'pino';
import type { Limits } from '../../image/settable-limits.js';
import { LOCAL_UNPACKER, parseAddress, showAddress, UNPACKER_PORT } from '../../rpc/address.js';
import { CERTIFICATE_DIRECTORY } from '../../rpc/certificates.js';
import type { RunningServer } from '../../rpc/server.js';
import { startServer } from '../../rpc/server.js';
import { unpackerService } from '../../rpc/unpacker-service.js';
import { absoluteLocation } from '../../store/open.js';
import { readTrustedKeysText } from '../../store/read-keys.js';
import { Agent } from '../../unpacker/agent.js';
import { ServiceManager } from '../../unpacker/service-manager.js';
import { locationOf } from '../open-store.js';
import { readVersion } from '../program.js';
import type { AgentConfiguration } from './configuration.js';
import type { StreamSettings } from '../../unpacker/work.js';
import { DEFAULT_STATE_DIRECTORY } from './volume-options.js';

/** Work that shows no progress for so long hangs: no tool and no batch is silent for half of it. */
const STALLED_SECONDS = 900;
/** Calls that are still under way when all work has been stopped are only about to say so. */
const LAST_WORDS_SECONDS = 5;

/** How volumes are made of which nothing is configured. */
const DEFAULT_SETTINGS: StreamSettings = { boot: {}, disk: {} };

/** What `serve` is called with. */
interface ServeOptions {
  config: string | undefined;
  listen: readonly string[];
  stateDir: string | undefined;
  volumes: string | undefined;
  certs: string | undefined;
  store: string | undefined;
  cache: string | undefined;
  cacheSize: number | undefined;
  limits: Limits | undefined;
  server: string | undefined;
  trustedKeys: string | undefined;
}

/** Runs the agent until `signal` is aborted, then ends its work in order. */
export async function runAgent(
  options: ServeOptions,
  { signal, log }: { signal: AbortSignal; log: Logger },
): Promise<void> {
  const settings = await settingsOf(options);
  const manager = new ServiceManager(process.env);
  const agent = await Agent.open({ ...settings, version: readVersion(), log });
  const servers: RunningServer[] = [];
  try {
    for (const address of settings.addresses) {
      const services: Parameters<typeof startServer>[0]['services'] = trust => [
        unpackerService(agent, trust, (path, error) => {
          log.debug({ path, code: error.code, reason: error.message, err: error.cause }, 'call failed');
        }),
      ];
      const server = await startServer({ address, certs: settings.certs, services });
      servers.push(server);
      log.info({ address: showAddress(server.address) }, 'listening');
    }
    manager.ready(`Listening at ${servers.map(({ address }) => showAddress(address)).join(', ')}`);
    manager.watch(() => agent.stalled(STALLED_SECONDS).length === 0);
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    manager.stopping();
    log.info({}, 'stopping');
    const stopped = servers.map(server => server.stop(LAST_WORDS_SECONDS));
    await agent.close();
    await Promise.all(stopped);
  }
}

async function settingsOf(options: ServeOptions) {
  const file: Partial<AgentConfiguration> =
    options.config === undefined ? {} : await readConfiguration(options.config);
  const { store = file.store, server = options.store === undefined ? file.server : undefined } = options;
  const keysFile = options.trustedKeys ?? file.trustedKeys;
  const directory = options.volumes ?? file.volumes?.directory;
  const bytes = file.volumes?.size;
  const size = bytes === undefined ? ({ kind: 'fitting' } as const) : ({ kind: 'fixed', bytes } as const);
  const listen = options.listen.length > 0 ? options.listen : (file.listen ?? [LOCAL_UNPACKER]);
  return {
    addresses: listen.map(each => parseAddress(each, UNPACKER_PORT)),
    stateDirectory: options.stateDir ?? file.stateDir ?? DEFAULT_STATE_DIRECTORY,
    certs: options.certs ?? file.certs ?? CERTIFICATE_DIRECTORY,
    store:
      store === undefined && server === undefined
        ? undefined
        : absoluteLocation(locationOf({ store, server })),
    cache: {
      directory: options.cache === undefined ? file.cache?.directory : resolve(options.cache),
      maxBytes: options.cacheSize ?? file.cache?.size,
    },
    limits: options.limits ?? file.limits,
    trustedKeys: keysFile === undefined ? undefined : await readTrustedKeysText(keysFile),
    volumes: directory === undefined ? undefined : { directory: resolve(directory), size },
    settingsOf: file.settingsOf ?? (() => DEFAULT_SETTINGS),
  };
}

async function readConfiguration(path: string): Promise<AgentConfiguration> {
  const { readAgentConfiguration } = await import('./configuration.js');
  return readAgentConfiguration(path);
}
