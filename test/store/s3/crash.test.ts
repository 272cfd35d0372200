import { join } from 'node:path';
import type { ExecutionContext, TestFn } from 'ava';
import test from 'ava';
import { sha512 } from '../../../src/image/digest.js';
import { diskDigest } from '../../../src/image/disk-map.js';
import type { Entry } from '../../../src/image/entry.js';
import { ImageUnpackerError } from '../../../src/image/error.js';
import { silentProgress } from '../../../src/image/progress.js';
import { changeImage, withExpiry } from '../../../src/store/change-image.js';
import { currentMove } from '../../../src/store/channel.js';
import { ManifestReader } from '../../../src/store/manifest-reader.js';
import { moveChannel } from '../../../src/store/move-channel.js';
import { collectS3 } from '../../../src/store/s3/collect.js';
import { openS3Store } from '../../../src/store/s3/open.js';
import type { S3Store } from '../../../src/store/s3/store.js';
import { verifyImage } from '../../../src/store/verify.js';
import { storeImage } from '../../model/stored-image.js';
import { withMoto } from '../../moto.js';
import { temporaryDirectory } from '../../temporary-directory.js';
import type { Fate } from './faulty-proxy.js';
import { FaultyProxy } from './faulty-proxy.js';
import { MotoBucket } from './s3-under-test.js';

const run = withMoto('failures of a store on S3') as TestFn;
const bucket = run === test ? MotoBucket.during(test) : undefined;

const common = { mode: 0o755, uid: 0, gid: 0, mtime: 0n, flags: 0, xattrs: [] };
const bytesOf = (text: string): Buffer => Buffer.from(text);
const MAP = { size: 524_288n, present: Buffer.from([1]), digests: Buffer.alloc(32, 1) };
const LATE = '2027-06-01T00:00:00.000Z';
const CHANNEL = { stream: 's', name: 'stable' };

function treeOf(text: string): Entry[] {
  const data = { size: BigInt(text.length), holes: [], digest: sha512(bytesOf(text)), names: [] };
  return [
    { ...common, type: 'directory', path: Buffer.alloc(0) },
    { ...common, type: 'file', path: bytesOf(`file-${text}`), ...data },
  ];
}

/** A store through a proxy. A process that is to die gives up at once; others try again. */
async function openThrough(
  t: ExecutionContext,
  proxy: FaultyProxy,
  location: string,
  maxAttempts: number,
): Promise<S3Store> {
  const cache = { directory: join(temporaryDirectory(t), 'cache'), maxBytes: 1 << 30 };
  const config = { ...bucket!.config, endpoint: proxy.endpoint, maxAttempts };
  return openS3Store(location, { create: true, cache, config });
}

/** All that changes a store. */
async function liveOn(store: S3Store): Promise<void> {
  await storeImage(store, 's/one', treeOf('one'));
  const two = await storeImage(store, 's/two', treeOf('two'));
  await moveChannel(store, CHANNEL, 's/one', { movedAt: new Date(0) });
  await moveChannel(store, CHANNEL, 's/two', { movedAt: new Date(0), from: 's/one' });
  await store.keepDiskMap(two.digest, MAP);
  await changeImage(store, 's/two', record => withExpiry(record, LATE, true));
  await store.remove('s/one');
}

const collect = async (location: string, endpoint: string, maxAttempts = 1): Promise<unknown> =>
  collectS3(location, {
    dryRun: false,
    keepFor: 0,
    progress: silentProgress,
    config: { ...bucket!.config, endpoint, maxAttempts },
  });

/** Whatever has happened, images are whole, a channel names one, and the store can be used and collected. */
async function examine(t: ExecutionContext, location: string): Promise<string[]> {
  const store = await bucket!.open(t, location);
  const images = await store.list();
  for (const image of images)
    t.deepEqual((await verifyImage(store, image, { progress: silentProgress })).faults, []);
  const channel = await store.channel('s', 'stable');
  const named = channel && currentMove(channel).image;
  if (named !== undefined && named !== null) await store.image(named);
  for (const digest of await store.diskMaps(images.at(-1)?.digest ?? '0'.repeat(128)))
    t.deepEqual(await store.diskMap(images.at(-1)!.digest, digest), MAP);
  await storeImage(store, 's/three', treeOf('three'));
  await store.close();
  return images.map(({ name }) => name);
}

run('whenever a process is killed, the store is as it was before or after what it did', async t => {
  const proxy = await FaultyProxy.before(bucket!.config.endpoint as string);
  t.teardown(() => proxy.stop());
  const whole = bucket!.newLocation();
  const store = await openThrough(t, proxy, whole, 1);
  await liveOn(store);
  const writes = proxy.count;
  await store.close();
  t.true(writes > 15);
  for (let last = 0; last < writes; last++) {
    const location = bucket!.newLocation();
    proxy.count = 0;
    // The write before the one that comes to nothing may have been heard of or not.
    proxy.fate = write => (write < last ? 'pass' : write === last && last % 2 === 0 ? 'lose' : 'refuse');
    const killed = await openThrough(t, proxy, location, 1).catch(() => undefined);
    if (killed !== undefined) {
      await t.throwsAsync(liveOn(killed));
      await killed.close().catch(() => undefined);
    }
    const images = await examine(t, location);
    t.true(images.length <= 2);
    // What was left of its lease keeps what it stored, and no more than that.
    await collect(location, bucket!.config.endpoint as string);
    const left = await bucket!.open(t, location);
    t.true((await left.list()).length === images.length + 1);
    await left.close();
  }
});

run('whenever a collection is killed, images are whole and the next one ends it', async t => {
  const proxy = await FaultyProxy.before(bucket!.config.endpoint as string);
  t.teardown(() => proxy.stop());
  const make = async (): Promise<string> => {
    const location = bucket!.newLocation();
    const store = await bucket!.open(t, location);
    await storeImage(store, 's/one', treeOf('one'));
    await storeImage(store, 's/two', treeOf('two'));
    await store.remove('s/two');
    await store.close();
    return location;
  };
  await collect(await make(), proxy.endpoint);
  const writes = proxy.count;
  for (let last = 0; last < writes; last++) {
    const location = await make();
    proxy.count = 0;
    proxy.fate = write => (write < last ? 'pass' : write === last && last % 2 === 0 ? 'lose' : 'refuse');
    await collect(location, proxy.endpoint).catch((reason: unknown) => {
      if (!(reason instanceof ImageUnpackerError)) throw reason;
    });
    // Its hold on the store runs out in an hour.
    await bucket!.delete(location, 'collector');
    const isDeleting = (await bucket!.keys(location, 'deleting/')).length > 0;
    if (isDeleting) {
      // What is condemned and may be gone in a moment is not relied on.
      const early = await bucket!.open(t, location);
      await t.throwsAsync(early.put(bytesOf('two')), { code: 'STORE_BUSY', message: /imagetool gc/ });
      await early.close();
      await collect(location, bucket!.config.endpoint as string);
    }
    await examine(t, location);
    await collect(location, bucket!.config.endpoint as string);
    t.is((await bucket!.keys(location, 'objects/')).length, 6);
    const left = (await bucket!.keys(location)).filter(key => /^(condemned|deleting|rescued)/.test(key));
    t.deepEqual(left, []);
  }
});

run('an answer that is lost is not taken for somebody else', async t => {
  const proxy = await FaultyProxy.before(bucket!.config.endpoint as string);
  t.teardown(() => proxy.stop());
  const location = bucket!.newLocation();
  const store = await openThrough(t, proxy, location, 3);
  const lost = new Set<number>();
  // Each write is done once without anybody hearing of it.
  proxy.fate = (write): Fate => {
    if (write % 2 === 1) return 'pass';
    lost.add(write);
    return 'lose';
  };
  await liveOn(store);
  t.true(lost.size > 15);
  t.deepEqual(
    (await store.list()).map(({ name, expiresAt }) => [name, expiresAt]),
    [['s/two', LATE]],
  );
  t.is((await store.channel('s', 'stable'))!.moves.length, 2);
  await store.close();
});

run('a change of any byte that is kept is found', async t => {
  const s3 = bucket!;
  const location = s3.newLocation();
  const store = await s3.open(t, location);
  await liveOn(store);
  const { digest } = await store.image('s/two');
  const readAll = async (): Promise<void> => {
    const each = await s3.open(t, location);
    try {
      await each.checkIsNew('s/new');
      const image = await each.image('s/two');
      const { faults } = await verifyImage(each, image, { progress: silentProgress });
      if (faults.length > 0) throw new ImageUnpackerError('STORE_DAMAGED', 'found');
      await each.channel('s', 'stable');
      await each.diskMap(digest, diskDigest(MAP));
      // The name of a deleted image is not taken by another one, whatever has become of what is kept of it.
      await t.throwsAsync(each.create({ ...image, name: 's/one' }));
    } finally {
      await each.close();
    }
  };
  await readAll();
  const { index } = await ManifestReader.open(store, Buffer.from(digest, 'hex'));
  const needed = [sha512(bytesOf('two')), ...index.pages.map(page => page.digest)].map(each =>
    each.toString('hex'),
  );
  needed.push(digest);
  for (const key of await s3.keys(location)) {
    if (/^(complete|leases)\//.test(key) || key === 'images/s/@one') continue;
    if (key.startsWith('objects/') && !needed.includes(key.slice(-128))) continue;
    const bytes = await s3.read(location, key);
    for (let at = 0; at < bytes.length; at += 37) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 1;
      await s3.write(location, key, changed);
      const error = await t.throwsAsync<ImageUnpackerError>(readAll, undefined, `${key} ${String(at)}`);
      t.true(
        ['STORE_DAMAGED', 'UNSUPPORTED', 'IMAGE_UNKNOWN'].includes(error.code),
        `${key}: ${error.message}`,
      );
    }
    await s3.write(location, key, bytes);
  }
  await store.close();
});
