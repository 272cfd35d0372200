import { chmodSync, closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import test from 'ava';
import { sha512 } from '../../../src/image/digest.js';
import { changeImage, withTags } from '../../../src/store/change-image.js';
import { moveChannel } from '../../../src/store/move-channel.js';
import type { Store } from '../../../src/store/store.js';
import { gather } from '../../gather.js';
import type { ServerProcess } from './server-process.js';
import { startChain } from './server-process.js';
import { build, contentOf, faultsOf } from './stores.js';

/*
 * Servers as they are used: processes of their own, over TLS, each following the one before it.
 */

const DEADLINE_MILLISECONDS = 120_000;

async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + DEADLINE_MILLISECONDS;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error('it did not happen');
    await setTimeout(50);
  }
}

const names = async (store: Store): Promise<string> => (await store.list()).map(({ name }) => name).join();

test('three servers in a chain, of which one is away for a while', async t => {
  const { root, servers, connect } = await startChain(t, ['a', 'b', 'c']);
  const [a, b, c] = servers as [ServerProcess, ServerProcess, ServerProcess];
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
