import { connect as connectSocket, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { RunningImageServer } from '../../src/imageserver/server.js';
import { startImageServer } from '../../src/imageserver/server.js';
import type { Address } from '../../src/rpc/address.js';
import { showAddress } from '../../src/rpc/address.js';
import { connectStore, serverLocation } from '../../src/rpc/connect-store.js';
import { openLocalStore } from '../../src/store/local/store.js';
import type { Store } from '../../src/store/store.js';
import { temporaryDirectory } from '../temporary-directory.js';

export interface LogLine {
  level: 'debug' | 'info' | 'warn' | 'error';
  facts: Record<string, unknown>;
  message: string;
}

export interface Served {
  server: RunningImageServer;
  /** HOST:PORT or unix:PATH. */
  where: string;
  /** The directory of the store. */
  root: string;
  log: LogLine[];
}

export const LOCAL: Address = { kind: 'tcp', host: '127.0.0.1', port: 0 };

/** A server of an empty store in this process, stopped when the test ends. */
export async function serve(
  t: ExecutionContext,
  { address, certs = '' }: { address?: Address; certs?: string } = {},
): Promise<Served> {
  const directory = temporaryDirectory(t);
  const root = join(directory, 'store');
  const log: LogLine[] = [];
  const keep =
    (level: LogLine['level']) =>
    (facts: object, message: string): void => {
      log.push({ level, facts: { ...facts }, message });
    };
  const server = await startImageServer({
    addresses: [address ?? { kind: 'unix', path: join(directory, 'socket') }],
    certs,
    openStore: () => openLocalStore(root, { create: true }),
    version: '1.2.3',
    log: { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') },
  });
  t.teardown(() => server.stop(0));
  return { server, where: showAddress(server.addresses[0]!), root, log };
}

/** The store of a server, as a machine sees it that has fetched nothing yet; closed when the test ends. */
export async function storeAt(t: ExecutionContext, where: string, certs = ''): Promise<Store> {
  const cache = { directory: temporaryDirectory(t), maxBytes: 2 ** 30 };
  const store = await connectStore(serverLocation(where), { certs, cache });
  t.teardown(() => store.close());
  return store;
}

/** A proxy before a server that passes bytes on, counts them, and can cut all connections. */
export interface CuttingProxy {
  where: string;
  /** What clients have sent so far. */
  sent: () => number;
  /** What the server has answered so far. */
  answered: () => number;
  /** From now on a connection is cut whenever so many bytes have passed. */
  cutEvery: (bytes: number) => void;
  cuts: () => number;
}

/** Starts one on this machine, which ends with the test. */
export async function cuttingProxy(t: ExecutionContext, port: number): Promise<CuttingProxy> {
  let [up, down, every, left, cuts] = [0, 0, Infinity, Infinity, 0];
  const sockets = new Set<Socket>();
  const server = createServer(near => {
    const far = connectSocket(port, '127.0.0.1');
    const end = (): void => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', end).on('close', () => {
        sockets.delete(socket);
        end();
      });
    }
    const count = (length: number): void => {
      left -= length;
      if (left > 0) return;
      left = every;
      cuts++;
      end();
    };
    near.on('data', (chunk: Buffer) => {
      up += chunk.length;
      if (!far.write(chunk)) {
        near.pause();
        far.once('drain', () => near.resume());
      }
      count(chunk.length);
    });
    far.on('data', (chunk: Buffer) => {
      down += chunk.length;
      if (!near.write(chunk)) {
        far.pause();
        near.once('drain', () => far.resume());
      }
      count(chunk.length);
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return {
    where: `127.0.0.1:${String((server.address() as { port: number }).port)}`,
    sent: () => up,
    answered: () => down,
    cutEvery: bytes => (every = left = bytes),
    cuts: () => cuts,
  };
}
