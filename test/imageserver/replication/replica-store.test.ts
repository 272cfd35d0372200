import test, { type ExecutionContext } from 'ava';
import { sha512 } from '../../../src/image/digest.js';
import { silentProgress } from '../../../src/image/progress.js';
import { follow, SYSTEM_CLOCK } from '../../../src/imageserver/replication/follow.js';
import { forwardingStore, refusingChanges } from '../../../src/imageserver/replication/replica-store.js';
import { Upstream } from '../../../src/imageserver/replication/upstream.js';
import { changeImage, withTags } from '../../../src/store/change-image.js';
import { moveChannel } from '../../../src/store/move-channel.js';
import { putMany } from '../../../src/store/put-many.js';
import type { Store } from '../../../src/store/store.js';
import { verifyImage } from '../../../src/store/verify.js';
import { build, contentOf, diskMapOf, makeStores } from './stores.js';

const STABLE = { stream: 'os/a', name: 'stable' };
const movedAt = new Date('2026-01-01T00:00:00.000Z');
const tagged = { set: new Map([['k', 'v']]), remove: [] };

async function makeReplica(t: ExecutionContext, pushes: 'forward' | 'refuse') {
  const [source, local] = (await makeStores(t, 'source', 'local')) as [Store, Store];
  const controller = new AbortController();
  const { signal } = controller;
  const over = follow(source, local, {
    clock: SYSTEM_CLOCK,
    signal,
    onEvent: () => undefined,
    pollMilliseconds: 20,
  });
  t.teardown(async () => {
    controller.abort();
    await over;
  });
  const upstream = new Upstream(source.location, () => Promise.resolve(source));
  const replica =
    pushes === 'refuse'
      ? refusingChanges(local, source.location)
      : forwardingStore(local, upstream, { clock: SYSTEM_CLOCK, signal });
  return { source, local, replica };
}

test('what is sent to a replica is at the source, and here when the call is over', async t => {
  const { source, local, replica } = await makeReplica(t, 'forward');
  const record = await build(replica, 'os/a/1', ['a', 'b']);
  t.deepEqual((await replica.image('os/a/1')).digest, record.digest);
  t.deepEqual((await verifyImage(local, record, { progress: silentProgress })).faults, []);
  await changeImage(replica, 'os/a/1', each => withTags(each, tagged));
  t.is((await local.image('os/a/1')).tags['k'], 'v');
  await build(replica, 'os/a/2', ['a', 'c']);
  await moveChannel(replica, STABLE, 'os/a/2', { movedAt });
  t.deepEqual(await local.channels(), await source.channels());
  await replica.keepDiskMap(record.digest, diskMapOf('disk'));
  t.is((await source.diskMaps(record.digest)).length, 1);
  await t.throwsAsync(replica.remove('os/a/2'), { code: 'IMAGE_IN_USE' });
  await replica.remove('os/a/1');
  t.deepEqual(
    (await local.list()).map(({ name }) => name),
    ['os/a/2'],
  );
  await t.throwsAsync(build(replica, 'os/a/2', ['x']), { code: 'IMAGE_EXISTS' });
});

test('a replica that takes no changes says where they go', async t => {
  const { source, replica } = await makeReplica(t, 'refuse');
  const record = await build(source, 'os/a/1', ['a']);
  const before = await contentOf(source);
  const data = { size: 0n, holes: [], digest: null };
  const refused = [
    () => replica.put(Buffer.from('x')),
    () => putMany(replica, [{ digest: sha512(Buffer.from('x')), bytes: Buffer.from('x') }]),
    () => replica.derive!(data, data),
    () => replica.create({ ...record, name: 'os/a/2' }),
    () => replica.replace(record, record),
    () => replica.remove('os/a/1'),
    () => moveChannel(source, STABLE, 'os/a/1', { movedAt }).then(each => replica.replaceChannel(each, each)),
    () => replica.keepDiskMap(record.digest, diskMapOf('disk')),
  ];
  for (const [at, call] of refused.entries()) {
    await t.throwsAsync(call, { code: 'NO_PERMISSION', message: /is a replica of .*source/ }, String(at));
  }
  t.deepEqual({ ...((await contentOf(source)) as object), channels: [] }, before as object);
});

test('a change that the source has made and that does not arrive is made all the same', async t => {
  const [source, local] = (await makeStores(t, 'source', 'local')) as [Store, Store];
  const { signal } = new AbortController();
  const options = { clock: SYSTEM_CLOCK, signal, arrivalMilliseconds: 50 };
  const upstream = new Upstream(source.location, () => Promise.resolve(source));
  await build(forwardingStore(local, upstream, options), 'os/a/1', ['a']);
  t.is((await source.list()).length, 1);
  t.deepEqual(await local.list(), []);
});
