import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Address } from '../../src/rpc/address.js';
import { showAddress } from '../../src/rpc/address.js';
import type { RunningServer } from '../../src/rpc/server.js';
import { startServer } from '../../src/rpc/server.js';
import { unpackerService } from '../../src/rpc/unpacker-service.js';
import type { ConnectOptions, UnpackerClient } from '../../src/rpc/unpacker-client.js';
import { connectUnpacker } from '../../src/rpc/unpacker-client.js';
import { FakeUnpacker } from './fake-unpacker.js';

/** Makes a directory that is removed when the test ends. */
export function temporaryDirectory(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'rpc-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

/** A server of a fake unpacker, stopped when the test ends. */
export async function serveFake(
  t: ExecutionContext,
  address: Address = { kind: 'unix', path: join(temporaryDirectory(t), 'socket') },
  certs = '',
): Promise<{ fake: FakeUnpacker; server: RunningServer; where: string; failures: string[] }> {
  const fake = new FakeUnpacker();
  const failures: string[] = [];
  const server = await startServer({
    address,
    certs,
    services: trust => [unpackerService(fake, trust, (path, { code }) => failures.push(`${path} ${code}`))],
  });
  t.teardown(() => server.stop(0));
  return { fake, server, where: showAddress(server.address), failures };
}

/** A client that is closed when the test ends. */
export async function connect(
  t: ExecutionContext,
  where: string,
  options: ConnectOptions = {},
): Promise<UnpackerClient> {
  const client = await connectUnpacker(where, options);
  t.teardown(() => client.close());
  return client;
}
