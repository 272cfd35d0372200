import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { diskDigest } from '../../src/image/disk-map.js';
import { sha512 } from '../../src/image/digest.js';
import type { Entry } from '../../src/image/entry.js';
import { silentProgress } from '../../src/image/progress.js';
import { collect } from '../../src/store/local/collect.js';
import type { LocalStore } from '../../src/store/local/store.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { tryLock } from '../../src/store/lock.js';
import { storeImage } from '../model/stored-image.js';
import { temporaryDirectory } from '../temporary-directory.js';

const common = { mode: 0o755, uid: 0, gid: 0, mtime: 0n, flags: 0, xattrs: [] };
const bytesOf = (text: string): Buffer => Buffer.from(text);

/** A tree of one file. */
function treeOf(text: string): Entry[] {
  const data = { size: BigInt(text.length), holes: [], digest: sha512(bytesOf(text)), names: [] };
  return [
    { ...common, type: 'directory', path: Buffer.alloc(0) },
    { ...common, type: 'file', path: bytesOf(`file-${text}`), ...data },
  ];
}

async function withStore<T>(location: string, work: (store: LocalStore) => Promise<T>): Promise<T> {
  const store = await openLocalStore(location, { create: true });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** A store with the images s/one and s/two. */
async function makeStore(t: ExecutionContext): Promise<string> {
  const location = join(temporaryDirectory(t), 'store');
  await withStore(location, async store => {
    await storeImage(store, 's/one', treeOf('one'));
    await storeImage(store, 's/two', treeOf('two'));
  });
  return location;
}

const run = (location: string, dryRun = false) => collect(location, { dryRun, progress: silentProgress });
const objectsIn = (location: string): number =>
  readdirSync(join(location, 'objects/sha512'), { recursive: true, withFileTypes: true }).filter(each =>
    each.isFile(),
  ).length;

/** The object `three` is needed by neither image. */
test('what no image needs goes, what one needs stays', async t => {
  const location = await makeStore(t);
  t.is(objectsIn(location), 7);
  const all = { images: 2, keptObjects: 6, removedObjects: 1, removedBytes: 5 };
  t.like(await run(location, true), all);
  t.is(objectsIn(location), 7);
  t.like(await run(location), all);
  t.is(objectsIn(location), 6);
  await withStore(location, store => store.remove('s/two'));
  t.like(await run(location), { images: 1, keptObjects: 3, removedObjects: 3 });
  await withStore(location, async store => {
    t.deepEqual(await store.read(sha512(bytesOf('one')), 3), bytesOf('one'));
    t.deepEqual(await store.has([sha512(bytesOf('two'))]), [false]);
  });
  await withStore(location, store => store.remove('s/one'));
  t.like(await run(location), { images: 0, keptObjects: 0, keptBytes: 0, removedObjects: 3 });
});

test('disk maps are kept as long as there is an image that they are of', async t => {
  const location = await makeStore(t);
  const map = { size: 524_288n, present: Buffer.from([1]), digests: Buffer.alloc(32, 1) };
  const digest = await withStore(location, async store => {
    const one = await store.image('s/one');
    await store.keepDiskMap(one.digest, map);
    await store.create({ ...one, name: 's/same' });
    await store.remove('s/one');
    return one.digest;
  });
  const kept = () => withStore(location, store => store.diskMaps(digest));
  await run(location);
  t.deepEqual(await kept(), [diskDigest(map)]);
  await withStore(location, store => store.remove('s/same'));
  await run(location, true);
  t.is((await kept()).length, 1);
  await run(location);
  t.deepEqual(await kept(), []);
});

test('annotations are needed', async t => {
  const location = await makeStore(t);
  await withStore(location, async store => {
    const { digest } = await store.put(bytesOf('three'));
    const one = await store.image('s/one');
    await store.create({ ...one, name: 's/noted', annotations: { note: digest.toString('hex') } });
  });
  t.like(await run(location), { images: 3, removedObjects: 0 });
});

for (const what of ['record', 'index', 'page'] as const) {
  test(`nothing is deleted when a ${what} is damaged`, async t => {
    const location = await makeStore(t);
    const digest = await withStore(location, async store => {
      const index = Buffer.from((await store.image('s/one')).digest, 'hex');
      return what === 'index' ? index : (await store.read(index, 1000)).subarray(12, 76);
    });
    const hex = digest.toString('hex');
    const file = join(
      location,
      what === 'record' ? 'images/s/@one' : `objects/sha512/${hex.slice(0, 2)}/${hex}`,
    );
    chmodSync(file, 0o644);
    writeFileSync(file, 'x');
    await t.throwsAsync(run(location), {
      code: 'STORE_DAMAGED',
      message: what === 'record' ? /@one/ : new RegExp(hex),
    });
    rmSync(file);
    if (what !== 'record')
      await t.throwsAsync(run(location), { code: 'STORE_DAMAGED', message: new RegExp(hex) });
    t.is(objectsIn(location), what === 'record' ? 7 : 6);
  });
}

test('what is no object is not deleted', async t => {
  const location = await makeStore(t);
  const hex = sha512(bytesOf('x')).toString('hex');
  const other = hex.startsWith('00') ? '01' : '00';
  const strays = ['stray', `${other}/${hex}`, `${other}/stray`].map(each =>
    join(location, 'objects/sha512', each),
  );
  for (const stray of strays) writeFileSync(stray, 'x');
  mkdirSync(join(location, 'objects/sha512', hex.slice(0, 2), hex));
  await run(location);
  t.is(objectsIn(location), 6 + strays.length);
});

test('what a build has stored stays until it is done', async t => {
  const location = await makeStore(t);
  await withStore(location, async store => {
    await store.put(bytesOf('four'));
    const controller = new AbortController();
    const collecting = collect(location, {
      dryRun: false,
      progress: silentProgress,
      signal: controller.signal,
    });
    const refused = t.throwsAsync(collecting, { code: 'CANCELLED' });
    controller.abort();
    await refused;
    t.deepEqual(await store.has([sha512(bytesOf('four'))]), [true]);
  });
  t.like(await run(location), { removedObjects: 2 });
});

test('leavings of dead processes go, those of living ones stay', async t => {
  const location = await makeStore(t);
  const [dead, living] = ['dead', 'living'].map(name => join(location, 'tmp', name)) as [string, string];
  for (const path of [dead, living]) {
    mkdirSync(path);
    writeFileSync(join(path, 'object-1'), 'x');
  }
  const directory = await open(living);
  t.teardown(() => directory.close());
  t.true(await tryLock(directory.fd, 'exclusive'));
  await run(location, true);
  t.is(readdirSync(join(location, 'tmp')).length, 2);
  await run(location);
  t.deepEqual(readdirSync(join(location, 'tmp')), ['living']);
});

test('leavings go when the next build begins, too', async t => {
  const location = await makeStore(t);
  mkdirSync(join(location, 'tmp/dead/deeper'), { recursive: true });
  await withStore(location, store => store.put(bytesOf('five')));
  t.deepEqual(readdirSync(join(location, 'tmp')), []);
});

test('there is nothing to collect where there is no store', async t => {
  await t.throwsAsync(run(join(temporaryDirectory(t), 'none')), { code: 'STORE_MISSING' });
});
