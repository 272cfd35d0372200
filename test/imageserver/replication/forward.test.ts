import { setTimeout } from 'node:timers/promises';
import test from 'ava';
import { sha512 } from '../../../src/image/digest.js';
import { changeImage, withTags } from '../../../src/store/change-image.js';
import { moveChannel } from '../../../src/store/move-channel.js';
import type { Store } from '../../../src/store/store.js';
import type { ServerProcess } from './server-process.js';
import { startChain } from './server-process.js';
import { build, contentOf, diskMapOf, faultsOf } from './stores.js';

/*
 * What is sent to a replica, in processes of their own and over TLS; the replicas show the certificate of a replicator, which
 * may send images of all streams.
 */

const DEADLINE_MILLISECONDS = 120_000;

async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + DEADLINE_MILLISECONDS;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error('it did not happen');
    await setTimeout(50);
  }
}

const names = async (store: Store): Promise<string[]> => (await store.list()).map(({ name }) => name);
const channel = { stream: 'os/a', name: 'stable' };
const movedAt = new Date('2026-01-01T00:00:00.000Z');

test('what is sent to a replica of a replica is passed on to the source, and comes back', async t => {
  const { servers, connect } = await startChain(t, ['a', 'b', 'c'], '--pushes', 'forward');
  const [a, b, c] = servers as [ServerProcess, ServerProcess, ServerProcess];
  const [source, replica] = [await connect(a, 'reader'), await connect(c, 'uploader')];
  const texts = Array.from({ length: 300 }, (_, at) => `text ${String(at)}`);
  const one = await build(replica, 'os/a/1', [...texts, 'x'.repeat(5 << 20)]);
  t.deepEqual(await names(source), ['os/a/1']);
  t.deepEqual(await names(replica), ['os/a/1']);
  t.deepEqual(await faultsOf(source), []);
  const digests = texts.map(text => sha512(Buffer.from(text)));
  t.deepEqual(
    new Set(
      await replica.putMany!(texts.map((text, at) => ({ digest: digests[at]!, bytes: Buffer.from(text) }))),
    ),
    new Set([false]),
  );
  await changeImage(replica, 'os/a/1', each => withTags(each, { set: new Map([['k', 'v']]), remove: [] }));
  await moveChannel(replica, channel, 'os/a/1', { movedAt });
  await replica.keepDiskMap(one.digest, diskMapOf('disk'));
  t.is((await source.diskMaps(one.digest)).length, 1);
  await until(async () => (await replica.diskMaps(one.digest)).length === 1);
  t.deepEqual(await contentOf(replica), await contentOf(source));
  await t.throwsAsync(build(replica, 'os/a/1', ['y']), { code: 'IMAGE_EXISTS' });

  await a.end('SIGKILL');
  await t.throwsAsync(build(replica, 'os/a/2', ['away']));
  t.deepEqual(await names(replica), ['os/a/1']);
  await a.start();
  await until(() =>
    build(replica, 'os/a/2', ['away']).then(
      () => true,
      () => false,
    ),
  );
  t.deepEqual(await names(await connect(a, 'reader')), ['os/a/1', 'os/a/2']);
  t.deepEqual(await names(await connect(b, 'reader')), ['os/a/1', 'os/a/2']);
});

test('a replica does for its callers what they may do, and lends none of them what it may', async t => {
  const { servers, connect } = await startChain(t, ['a', 'b'], '--pushes', 'forward');
  const [a, b] = servers as [ServerProcess, ServerProcess];
  const source = await connect(a, '.');
  const made = await build(source, 'os/a/1', ['one']);
  const [reader, uploader, publisher, admin] = [
    await connect(b, 'reader'),
    await connect(b, 'uploader'),
    await connect(b, 'publisher'),
    await connect(b, '.'),
  ];
  await until(async () => (await names(reader)).length === 1);
  const before = await contentOf(source);
  const attempts: [what: string, () => Promise<unknown>][] = [
    ['an object of a reader', () => reader.put(Buffer.from('new'))],
    ['a large object of a reader', () => reader.put(Buffer.alloc(2 << 20, 'new'))],
    ['an image of a reader', () => reader.create({ ...made, name: 'os/a/2' })],
    ['tags of a reader', () => reader.replace({ ...made, tags: { k: 'v' } }, made)],
    ['a channel of a reader', () => moveChannel(reader, channel, 'os/a/1', { movedAt })],
    ['a disk map of a reader', () => reader.keepDiskMap(made.digest, diskMapOf('disk'))],
    ['an image of a publisher', () => publisher.create({ ...made, name: 'os/a/2' })],
    ['an image of another stream', () => uploader.create({ ...made, name: 'other/1' })],
    ['a removal', () => uploader.remove('os/a/1')],
    ['a name used again', () => uploader.create({ ...made, name: 'os/a/3' }, { reuseName: true })],
    ['a shorter life', () => uploader.replace({ ...made, expiresAt: movedAt.toISOString() }, made)],
    // The caller may; but the replica may not.
    ['a removal that the replica may not make', () => admin.remove('os/a/1')],
  ];
  for (const [what, attempt] of attempts) await t.throwsAsync(attempt, { code: 'NO_PERMISSION' }, what);
  t.deepEqual(await contentOf(source), before);
  t.deepEqual(await source.has([sha512(Buffer.from('new')), sha512(Buffer.alloc(2 << 20, 'new'))]), [
    false,
    false,
  ]);
  await publisher.keepDiskMap(made.digest, diskMapOf('disk'));
  t.is((await source.diskMaps(made.digest)).length, 1);
});
