import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { ImageServerOptions, RunningImageServer } from '../../src/imageserver/server.js';
import { startImageServer } from '../../src/imageserver/server.js';
import { showAddress } from '../../src/rpc/address.js';
import { connectStore, serverLocation } from '../../src/rpc/connect-store.js';
import { openLocalStore } from '../../src/store/local/store.js';
import type { Store } from '../../src/store/store.js';

/** A short path: that of a socket has at most 107 bytes. */
export function shortDirectory(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'is-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

/** An image server over the store in a directory, in this process, and what it has told. */
export interface ServedStore {
  address: string;
  server: RunningImageServer;
  told: { message: string; facts: Record<string, unknown> }[];
}

/** Serves the store in `location`, which is made; on a Unix socket unless it is said otherwise. */
export async function serveStore(
  t: ExecutionContext,
  location: string,
  options: Partial<ImageServerOptions> = {},
): Promise<ServedStore> {
  const told: ServedStore['told'] = [];
  const tell = (facts: object, message: string): void => {
    told.push({ message, facts: facts as Record<string, unknown> });
  };
  const server = await startImageServer({
    addresses: [{ kind: 'unix', path: join(shortDirectory(t), 's') }],
    certs: '',
    openStore: () => openLocalStore(location, { create: true }),
    version: 'test',
    log: { debug: tell, info: tell, warn: tell, error: tell },
    ...options,
  });
  t.teardown(() => server.stop(0));
  return { address: showAddress(server.addresses[0]!), server, told };
}

/** The store of a server, with an empty cache. */
export async function connectTo(t: ExecutionContext, address: string, certs?: string): Promise<Store> {
  const cache = { directory: join(shortDirectory(t), 'cache'), maxBytes: 1 << 30 };
  const store = await connectStore(serverLocation(address), { cache, certs });
  t.teardown(() => store.close());
  return store;
}
