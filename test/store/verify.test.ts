import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { sha512 } from '../../src/image/digest.js';
import type { Entry } from '../../src/image/entry.js';
import { silentProgress } from '../../src/image/progress.js';
import type { LocalStore } from '../../src/store/local/store.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { ManifestReader } from '../../src/store/manifest-reader.js';
import type { ImageRecord } from '../../src/store/store.js';
import { verifyImage } from '../../src/store/verify.js';
import { manyFiles } from '../model/many-files.js';
import { storeImage } from '../model/stored-image.js';
import { temporaryDirectory } from '../temporary-directory.js';

/** Two thousand files, whose data is their paths, and one more name of the first of them. */
function tree(): Entry[] {
  return manyFiles(2000).flatMap((entry): Entry[] => {
    const text = entry.path.toString();
    if (entry.type !== 'file') return [entry];
    const data = { ...entry, size: BigInt(text.length) };
    if (text !== 'd0000/f00') return [data];
    const name = Buffer.from('d0000/f00x');
    return [
      { ...data, names: [name] },
      { type: 'link', path: name, target: entry.path },
    ];
  });
}

async function makeImage(t: ExecutionContext): Promise<{ store: LocalStore; record: ImageRecord }> {
  const store = await openLocalStore(join(temporaryDirectory(t), 'store'), { create: true });
  t.teardown(() => store.close());
  const entries = tree();
  for (const entry of entries) if (entry.type === 'file') await store.put(entry.path);
  const record = await storeImage(store, 's/good', entries);
  const { digest } = await store.put(Buffer.from('note'));
  const noted = { ...record, name: 's/noted', annotations: { note: digest.toString('hex') } };
  await store.create(noted);
  return { store, record: noted };
}

function damage(store: LocalStore, digest: Buffer, bytes?: string): void {
  const hex = digest.toString('hex');
  const file = join(store.location, 'objects/sha512', hex.slice(0, 2), hex);
  chmodSync(file, 0o644);
  if (bytes === undefined) rmSync(file);
  else writeFileSync(file, bytes);
}

const verify = (store: LocalStore, record: ImageRecord) =>
  verifyImage(store, record, { progress: silentProgress });

test('a good image has no faults, and all of it is read', async t => {
  const { store, record } = await makeImage(t);
  t.deepEqual(await verify(store, record), {
    name: 's/noted',
    digest: record.digest,
    objects: 2001,
    bytes: 2000 * 'd0000/f00'.length + 'note'.length,
    faults: [],
  });
});

test('every object that is not good is named, with all that needs it', async t => {
  const { store, record } = await makeImage(t);
  const [first, second, note] = ['d0000/f00', 'd0007/f07', 'note'].map(text => sha512(Buffer.from(text)));
  damage(store, first!);
  damage(store, second!, 'other');
  damage(store, note!);
  t.deepEqual((await verify(store, record)).faults, [
    { digest: note!.toString('hex'), kind: 'annotation', state: 'missing', neededBy: ['note'] },
    {
      digest: first!.toString('hex'),
      kind: 'data',
      state: 'missing',
      neededBy: ['/d0000/f00', '/d0000/f00x'],
    },
    { digest: second!.toString('hex'), kind: 'data', state: 'damaged', neededBy: ['/d0007/f07'] },
  ]);
});

test('a page that is not good is named, and the others are read', async t => {
  const { store, record } = await makeImage(t);
  const { index } = await ManifestReader.open(store, Buffer.from(record.digest, 'hex'));
  t.true(index.pages.length > 2);
  damage(store, index.pages[1]!.digest, 'other');
  const { faults, objects } = await verify(store, record);
  t.like(faults, [{ digest: index.pages[1]!.digest.toString('hex'), kind: 'page', state: 'damaged' }]);
  t.deepEqual(faults[0]!.neededBy, [`/${String(index.pages[1]!.first)}`]);
  t.is(objects, 2001 - index.pages[1]!.entries + directoriesIn(index.pages[1]!));
});

function directoriesIn({ first, entries }: { first: Buffer; entries: number }): number {
  const all = tree();
  const at = all.findIndex(entry => entry.path.equals(first));
  return all.slice(at, at + entries).filter(entry => entry.type !== 'file').length;
}

test('an index that is not good leaves the annotations to be read', async t => {
  const { store, record } = await makeImage(t);
  damage(store, Buffer.from(record.digest, 'hex'), 'other');
  const fault = { digest: record.digest, kind: 'index', state: 'damaged', neededBy: ['/'] };
  t.like(await verify(store, record), { objects: 1 });
  t.deepEqual((await verify(store, record)).faults as unknown[], [fault]);
});

test('what is stored as an index and is none is said to be so', async t => {
  const { store, record } = await makeImage(t);
  const { digest } = await store.put(Buffer.from('no index'));
  const { faults } = await verify(store, { ...record, digest: digest.toString('hex') });
  t.like(faults[0], { kind: 'index', state: 'invalid', why: 'The data is not the index of a manifest' });
});

test('a manifest that is no tree is said to be so', async t => {
  const { store } = await makeImage(t);
  const record = await storeImage(store, 's/bad', manyFiles(300).toSpliced(1, 1));
  const { faults } = await verify(store, record);
  t.like(faults[0], { kind: 'page', state: 'invalid' });
  t.regex(faults[0]!.why!, /d0000\/f00 is not in a directory/);
});
