import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { ExecutionContext } from 'ava';
import { connectStore, serverLocation } from '../../../src/rpc/connect-store.js';
import { makeCertificates } from '../../../src/rpc/make-certificates.js';
import type { Store } from '../../../src/store/store.js';
import { temporaryDirectory } from '../../temporary-directory.js';

const PROGRAM = join(import.meta.dirname, '../../../src/cli/imageserver/main.ts');
/** Reading all that a program writes must not keep a test from failing. */
const START_MILLISECONDS = 60_000;

/** A server in a process, which can be killed and started again at the same port. */
export class ServerProcess {
  address = '127.0.0.1:0';
  #child: ChildProcess | undefined;
  readonly #words: readonly string[];

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  async start(): Promise<void> {
    const words = ['--import=tsx', PROGRAM, 'serve', '--listen', this.address, ...this.#words];
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    const late = AbortSignal.timeout(START_MILLISECONDS);
    let said = '';
    for await (const [line] of linesOf(child, late)) {
      said += line;
      const found = /"address":"([^"]+)"/.exec(line);
      if (found === null) continue;
      this.address = found[1]!;
      // What it says from now on is not looked at, but has to go somewhere.
      child.stderr.resume();
      return;
    }
    throw new Error(`The server did not start: ${said}`);
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }
}

async function* linesOf(child: ChildProcess, signal: AbortSignal): AsyncGenerator<[string]> {
  const lines = createInterface(child.stderr!);
  const over = once(child, 'exit').then(() => undefined);
  const events = lines[Symbol.asyncIterator]();
  const late = once(signal, 'abort').then(() => undefined);
  for (;;) {
    const next = await Promise.race([events.next(), over, late]);
    if (next === undefined || next.done === true) return;
    yield [next.value];
  }
}

/** Servers over TLS, each of which follows the one before it, and is called with `more` as well. */
export async function startChain(t: ExecutionContext, names: readonly string[], ...more: string[]) {
  const root = temporaryDirectory(t);
  const certs = join(root, 'certs');
  await makeCertificates({ directory: certs, hosts: ['127.0.0.1'], days: 2, uploads: ['os'] });
  const servers: ServerProcess[] = [];
  for (const name of names) {
    const before = servers.at(-1);
    const follows =
      before === undefined
        ? []
        : ['--replicate-from', before.address, '--replicate-certs', join(certs, 'replicator'), ...more];
    const own = ['--store', join(root, name), '--certs', certs, '--cache', join(root, `cache-of-${name}`)];
    const server = new ServerProcess([...own, ...follows]);
    t.teardown(() => server.end('SIGTERM'));
    await server.start();
    servers.push(server);
  }
  const connect = async (server: ServerProcess, who: string): Promise<Store> => {
    const cache = { directory: join(root, `cache-${who}`), maxBytes: 1 << 30 };
    const store = await connectStore(serverLocation(server.address), { cache, certs: join(certs, who) });
    t.teardown(() => store.close());
    return store;
  };
  return { root, servers, connect };
}
