import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { ImageUnpackerError } from '../../src/image/error.js';
import { silentProgress } from '../../src/image/progress.js';
import { collect } from '../../src/store/local/collect.js';
import { openLocalStore } from '../../src/store/local/store.js';
import type { Store } from '../../src/store/store.js';
import { build, faultsOf } from './replication/stores.js';
import { connectTo, shortDirectory } from './serving.js';

/*
 * A server that is killed while clients upload. IMAGESERVER_KILLS says how often.
 */

const PROGRAM = join(import.meta.dirname, '../../src/cli/imageserver/main.ts');
const KILLS = Number(process.env['IMAGESERVER_KILLS'] ?? 4);
const CLIENTS = 3;
const LARGE_BYTES = 6 << 20;
/** How long it is killed after an image was made, at most. */
const MOST_MILLISECONDS = 400;
const PATIENCE_MILLISECONDS = 300_000;

/** Starts the program, and waits until it listens. */
async function startServer(t: ExecutionContext, store: string, socket: string): Promise<ChildProcess> {
  const words = ['--import=tsx', PROGRAM, 'serve', '--store', store, '--listen', `unix:${socket}`];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  const said: string[] = [];
  for await (const line of createInterface(child.stderr)) {
    said.push(line);
    if (line.includes('listening')) {
      child.stderr.resume();
      return child;
    }
  }
  throw new Error(`The server did not start: ${said.join('\n')}`);
}

/** Uploads one image after the other until the server is gone; those that it said are made are added to `made`. */
async function uploadImages(store: Store, client: string, made: string[]): Promise<void> {
  for (let number = 0; ; number++) {
    const name = `s/${client}-${String(number)}`;
    const texts = Array.from({ length: 40 }, (_, at) => `${name} ${String(at)}`);
    await build(store, name, [...texts, 'all have it', name.repeat(LARGE_BYTES / name.length)]);
    made.push(name);
  }
}

/** What images there are, all of which must be whole. */
async function wholeImages(t: ExecutionContext, directory: string): Promise<string[]> {
  const store = await openLocalStore(directory, { create: true });
  try {
    t.deepEqual(await faultsOf(store), []);
    return (await store.list()).map(({ name }) => name);
  } finally {
    await store.close();
  }
}

test('a server that is killed keeps each image that it said is made, and shows none that is not whole', async t => {
  const directory = join(shortDirectory(t), 'store');
  const made: string[] = [];
  let unfinished = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    // A path of its own: what a killed server left is another's matter (test/rpc).
    const socket = join(shortDirectory(t), 's');
    const server = await startServer(t, directory, socket);
    const stores: Store[] = [];
    for (let client = 0; client < CLIENTS; client++) stores.push(await connectTo(t, `unix:${socket}`));
    const uploads = stores.map((store, client) =>
      uploadImages(store, `${String(kill)}-${String(client)}`, made).catch((reason: unknown) => reason),
    );
    const ended = once(server, 'exit');
    const wanted = made.length + (kill % 3);
    const late = performance.now() + PATIENCE_MILLISECONDS;
    while (made.length < wanted && performance.now() < late) await sleep(10);
    await sleep(Math.random() * MOST_MILLISECONDS);
    server.kill('SIGKILL');
    await ended;
    for (const reason of await Promise.all(uploads)) {
      t.true(reason instanceof ImageUnpackerError, String(reason));
      t.is((reason as { code: string }).code, 'TIMEOUT');
      unfinished++;
    }
    const there = await wholeImages(t, directory);
    t.deepEqual(
      made.filter(name => !there.includes(name)),
      [],
    );
    if (kill % 2 === 1) await collect(directory, { dryRun: false, progress: silentProgress });
  }
  t.true(made.length > 0);
  t.log(`${String(KILLS)} kills, ${String(made.length)} images made, ${String(unfinished)} not`);
  const socket = join(shortDirectory(t), 's');
  const server = await startServer(t, directory, socket);
  const again = await connectTo(t, `unix:${socket}`);
  await build(again, 's/again', ['all have it', 'another', 's/0-0-0'.repeat(LARGE_BYTES / 7)]);
  const ended = once(server, 'exit');
  server.kill('SIGTERM');
  t.deepEqual(await ended, [0, null]);
  t.true((await wholeImages(t, directory)).includes('s/again'));
});
