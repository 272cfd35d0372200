import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { sha512 } from '../../src/image/digest.js';
import type { Entry } from '../../src/image/entry.js';
import { silentProgress } from '../../src/image/progress.js';
import { buildImage } from '../../src/store/build.js';
import type { LocalStore } from '../../src/store/local/store.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { ManifestReader } from '../../src/store/manifest-reader.js';
import { gather } from '../gather.js';
import { manyFiles } from '../model/many-files.js';
import { entriesOf, treePlan } from '../model/tree.js';
import { temporaryDirectory } from '../temporary-directory.js';

async function makeStore(t: ExecutionContext): Promise<LocalStore> {
  const store = await openLocalStore(join(temporaryDirectory(t), 'store'), { create: true });
  t.teardown(() => store.close());
  return store;
}

function build(store: LocalStore, name: string, entries: readonly Entry[], more: object = {}) {
  const tree = { entries: () => entries, newObjects: 0, newBytes: 0 };
  const facts = { name, createdAt: new Date(1000), expiresAt: null, tags: {}, annotations: {} };
  return buildImage(store, tree, { ...facts, progress: silentProgress, ...more });
}

const read = async (store: LocalStore, digest: string): Promise<Entry[]> =>
  gather((await ManifestReader.open(store, Buffer.from(digest, 'hex'))).entries());

test('an image holds the tree that it was built of', async t => {
  const store = await makeStore(t);
  let number = 0;
  await fc.assert(
    fc.asyncProperty(treePlan, async plan => {
      const entries = entriesOf(plan);
      const record = await build(store, `s/${String(number++)}`, entries);
      t.is(record.entries, entries.length);
      t.deepEqual(await read(store, record.digest), entries);
    }),
    { numRuns: 20 },
  );
});

test('what is said of an image is kept, and its totals are right', async t => {
  const store = await makeStore(t);
  const note = sha512(Buffer.from('x')).toString('hex');
  const more = { expiresAt: new Date(2000), tags: { a: 'b' }, annotations: { note } };
  const record = await build(store, 's/a', manyFiles(300), more);
  t.like(record, { name: 's/a', entries: 304, bytes: 300n, tags: { a: 'b' }, annotations: { note } });
  t.like(record, { createdAt: '1970-01-01T00:00:01.000Z', expiresAt: '1970-01-01T00:00:02.000Z' });
  t.deepEqual(await store.image('s/a'), record);
});

test('the same tree has the same digest, and a tree that is none is not built', async t => {
  const store = await makeStore(t);
  const [a, b] = [await build(store, 's/a', manyFiles(3000)), await build(store, 's/b', manyFiles(3000))];
  t.is(a.digest, b.digest);
  const broken = manyFiles(300).toSpliced(1, 1);
  await t.throwsAsync(build(store, 's/c', broken), { code: 'IMAGE_INVALID' });
  const nameless = manyFiles(3).map(entry => {
    return entry.type === 'file' ? { ...entry, names: [Buffer.from('not there')] } : entry;
  });
  await t.throwsAsync(build(store, 's/d', nameless.toSpliced(3)), { code: 'IMAGE_INVALID' });
  t.is((await store.list()).length, 2);
});

test('times come from the earlier image where nothing else has changed', async t => {
  const store = await makeStore(t);
  const entries = manyFiles(3000);
  const first = await build(store, 's/a', entries);
  const rebuilt = entries.map(entry => ({ ...entry, mtime: 99n }) as Entry);
  const earlier = await ManifestReader.open(store, Buffer.from(first.digest, 'hex'));
  t.is(
    (await build(store, 's/b', rebuilt, { earlier: { manifest: earlier, onDamage: t.fail } })).digest,
    first.digest,
  );
  t.not((await build(store, 's/c', rebuilt)).digest, first.digest);
});

test('a name that is taken, and an interruption, make no image', async t => {
  const store = await makeStore(t);
  await build(store, 's/a', manyFiles(3));
  await t.throwsAsync(build(store, 's/a', manyFiles(4)), { code: 'IMAGE_EXISTS' });
  await t.throwsAsync(build(store, 's/b', manyFiles(4), { signal: AbortSignal.abort() }), {
    code: 'CANCELLED',
  });
  t.deepEqual(
    (await store.list()).map(({ entries }) => entries),
    [5],
  );
});
