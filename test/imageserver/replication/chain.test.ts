import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { sha512 } from '../../../src/image/digest.js';
import { connectStore, serverLocation } from '../../../src/rpc/connect-store.js';
import { makeCertificates } from '../../../src/rpc/make-certificates.js';
import { changeImage, withTags } from '../../../src/store/change-image.js';
import { moveChannel } from '../../../src/store/move-channel.js';
import type { Store } from '../../../src/store/store.js';
import { gather } from '../../gather.js';
import { temporaryDirectory } from '../../temporary-directory.js';
import { build, contentOf, faultsOf } from './stores.js';

/*
 * Servers as they are used: processes of their own, over TLS, each following the one before it.
 */

const PROGRAM = join(import.meta.dirname, '../../../src/cli/imageserver/main.ts');
const DEADLINE_MILLISECONDS = 120_000;
/** Reading all that a program writes must not keep a test from failing. */
const START_MILLISECONDS = 60_000;

async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + DEADLINE_MILLISECONDS;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error('it did not happen');
    await setTimeout(50);
  }
}

/** A server in a process, which can be killed and started again at the same port. */
class ServerProcess {
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

async function makeChain(t: ExecutionContext) {
  const root = temporaryDirectory(t);
  const certs = join(root, 'certs');
  await makeCertificates({ directory: certs, hosts: ['127.0.0.1'], days: 2, uploads: ['os'] });
  const servers: ServerProcess[] = [];
  for (const name of ['a', 'b', 'c']) {
    const before = servers.at(-1);
    const follows =
      before === undefined
        ? []
        : ['--replicate-from', before.address, '--replicate-certs', join(certs, 'replicator')];
    const server = new ServerProcess(['--store', join(root, name), '--certs', certs, ...follows]);
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
  return { root, servers: servers as [ServerProcess, ServerProcess, ServerProcess], connect };
}

const names = async (store: Store): Promise<string> => (await store.list()).map(({ name }) => name).join();

test('three servers in a chain, of which one is away for a while', async t => {
  const { root, servers, connect } = await makeChain(t);
  const [a, b, c] = servers;
  const [first, last] = [await connect(a, 'uploader'), await connect(c, 'reader')];
  const admin = await connect(a, '.');
  const texts = Array.from({ length: 500 }, (_, at) => `text ${String(at)}`);
  const one = await build(first, 'os/a/1', [...texts, 'x'.repeat(5 << 20)]);
  await until(async () => (await names(last)) === 'os/a/1');
  t.deepEqual(await faultsOf(last), []);

  const began = Date.now();
  await build(first, 'os/a/2', [...texts, 'new']);
  await until(async () => (await names(last)) === 'os/a/1,os/a/2');
  t.log(`a revision went through two servers in ${String(Date.now() - began)} ms, its upload included`);
  await changeImage(first, 'os/a/1', each => withTags(each, { set: new Map([['k', 'v']]), remove: [] }));
  await moveChannel(first, { stream: 'os/a', name: 'stable' }, 'os/a/2', { movedAt: new Date() });
  await until(async () => (await last.channels()).length === 1);

  await b.end('SIGKILL');
  await build(first, 'os/a/3', ['made while one was away']);
  await admin.remove(one.name);
  await setTimeout(1000);
  t.is(await names(last), 'os/a/1,os/a/2');
  await b.start();
  await until(async () => (await names(last)) === 'os/a/2,os/a/3');
  t.deepEqual(await faultsOf(last), []);
  t.deepEqual(await contentOf(last), await contentOf(admin));

  // What is damaged is brought anew from the source, be it small or large.
  for (const text of ['new', 'x'.repeat(5 << 20)]) {
    const digest = sha512(Buffer.from(text));
    const hex = digest.toString('hex');
    const object = join(root, 'c/objects/sha512', hex.slice(0, 2), hex);
    chmodSync(object, 0o600);
    const file = openSync(object, 'r+');
    writeSync(file, 'y', 0);
    closeSync(file);
    await last.noteDamage([digest]);
    await until(async () => (await last.check([digest], {})).faults.length === 0);
    t.is(Buffer.concat(await gather(last.stream(digest))).toString(), text);
  }

  const push = await connect(c, '.');
  const refused = { code: 'NO_PERMISSION', message: /is a replica of imageserver:\/\/127\.0\.0\.1/ };
  await t.throwsAsync(build(push, 'os/b/1', ['x']), refused);
  await t.throwsAsync(push.remove('os/a/2', { force: true }), refused);
  t.is(await names(last), 'os/a/2,os/a/3');
});
