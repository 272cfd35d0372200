import { setTimeout } from 'node:timers/promises';
import type { ExecutionContext, TestFn } from 'ava';
import test from 'ava';
import { sha512 } from '../../../src/image/digest.js';
import type { Entry } from '../../../src/image/entry.js';
import { silentProgress } from '../../../src/image/progress.js';
import type { Collection } from '../../../src/store/collection.js';
import { collectS3 } from '../../../src/store/s3/collect.js';
import { objectKey } from '../../../src/store/s3/layout.js';
import { storeImage } from '../../model/stored-image.js';
import { withMoto } from '../../moto.js';
import { MotoBucket } from './s3-under-test.js';

const run = withMoto('collecting a store on S3') as TestFn;
const bucket = run === test ? MotoBucket.during(test) : undefined;

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

/** A store with the images s/one and s/two; the object `three` is needed by neither. */
async function makeStore(t: ExecutionContext): Promise<string> {
  const location = bucket!.newLocation();
  const store = await bucket!.open(t, location);
  await storeImage(store, 's/one', treeOf('one'));
  await storeImage(store, 's/two', treeOf('two'));
  await store.close();
  return location;
}

async function collect(location: string, dryRun = false, keepFor = 0): Promise<Collection> {
  const { config } = bucket!;
  return collectS3(location, { dryRun, keepFor, progress: silentProgress, config });
}

const objectsIn = async (location: string): Promise<number> =>
  (await bucket!.keys(location, 'objects/')).length;
const three = sha512(bytesOf('three'));

async function noTraces(t: ExecutionContext, location: string): Promise<void> {
  const keys = await bucket!.keys(location);
  t.deepEqual(
    keys.filter(key => /^(leases|condemned|deleting|rescued|collector)/.test(key)),
    [],
  );
}

run('what no image needs goes, what one needs stays', async t => {
  const location = await makeStore(t);
  t.is(await objectsIn(location), 7);
  t.like(await collect(location, true), { images: 2, keptObjects: 6, removedObjects: 1, removedBytes: 5 });
  t.like(await collect(location, false, 3600), { removedObjects: 0, heldObjects: 1, heldBytes: 5 });
  t.is(await objectsIn(location), 7);
  t.like(await collect(location), { images: 2, keptObjects: 6, removedObjects: 1, heldObjects: 0 });
  t.is(await objectsIn(location), 6);
  const store = await bucket!.open(t, location);
  await store.remove('s/two');
  await store.close();
  t.like(await collect(location), { images: 1, keptObjects: 3, removedObjects: 3 });
  const left = await bucket!.open(t, location);
  t.deepEqual(await left.read(sha512(bytesOf('one')), 3), bytesOf('one'));
  t.is((await bucket!.keys(location, 'complete/')).length, 1);
  await left.close();
  await noTraces(t, location);
});

run('what somebody stores or reads stays, and goes when he is done', async t => {
  const location = await makeStore(t);
  const store = await bucket!.open(t, location);
  await store.put(bytesOf('four'));
  t.like(await collect(location), { removedObjects: 0, heldObjects: 2 });
  t.is(await objectsIn(location), 8);
  await store.close();
  t.like(await collect(location), { removedObjects: 2, heldObjects: 0 });
  await noTraces(t, location);
});

run('a condemned object that is needed again stays', async t => {
  const location = await makeStore(t);
  const reader = await bucket!.open(t, location);
  await reader.read(sha512(bytesOf('one')), 3);
  // Condemned, and held by the reader.
  t.like(await collect(location), { removedObjects: 0, heldObjects: 1 });
  const writer = await bucket!.open(t, location);
  t.deepEqual(await writer.has([three]), [true]);
  await reader.close();
  // The writer knows of the list, and has said that it needs the object.
  t.like(await collect(location), { removedObjects: 0 });
  t.deepEqual(await writer.has([three]), [true]);
  await storeImage(writer, 's/three', treeOf('three'));
  await writer.close();
  t.like(await collect(location), { images: 3, removedObjects: 0, heldObjects: 0 });
  const left = await bucket!.open(t, location);
  t.deepEqual(await left.read(three, 5), bytesOf('three'));
  await left.close();
});

run('a condemned object that nobody needs again goes while others who know of that work', async t => {
  const location = await makeStore(t);
  const reader = await bucket!.open(t, location);
  await reader.has([]);
  await collect(location);
  const writer = await bucket!.open(t, location);
  await writer.put(bytesOf('one'));
  await reader.close();
  t.like(await collect(location), { removedObjects: 1 });
  t.deepEqual(await writer.has([three]), [false]);
  // What it stores now is not what was condemned.
  t.true((await writer.put(bytesOf('three'))).added);
  await writer.close();
});

run('an image that is made of condemned objects by who does not know of them is whole', async t => {
  const location = await makeStore(t);
  const writer = await bucket!.open(t, location);
  t.deepEqual(await writer.has([three]), [true]);
  await collect(location);
  await storeImage(writer, 's/three', treeOf('three'));
  await writer.close();
  t.like(await collect(location), { images: 3, removedObjects: 0 });
  t.is(await objectsIn(location), 9);
  await noTraces(t, location);
});

run('a collection that was interrupted while it deleted is ended by the next', async t => {
  const location = await makeStore(t);
  const reader = await bucket!.open(t, location);
  await reader.has([]);
  await collect(location);
  const [condemned] = await bucket!.keys(location, 'condemned/');
  await bucket!.write(location, condemned!.replace('condemned/', 'deleting/'), '1');
  await bucket!.write(location, 'collector', '1');
  const writer = await bucket!.open(t, location);
  await reader.close();
  // Who needs it waits until it is known whether it is gone.
  const has = writer.has([three]);
  await setTimeout(1500);
  await bucket!.delete(location, 'collector');
  await t.throwsAsync(has, { code: 'STORE_BUSY', message: /imagetool gc/ });
  t.like(await collect(location), { removedObjects: 0 });
  t.deepEqual(await writer.has([three]), [true]);
  await writer.close();
  await collect(location);
  await noTraces(t, location);
});

run('nothing is deleted when a record or a page is damaged, and two do not collect at once', async t => {
  const location = await makeStore(t);
  const record = await bucket!.read(location, 'images/s/@one');
  await bucket!.write(location, 'images/s/@one', record.subarray(1));
  await t.throwsAsync(collect(location), { code: 'STORE_DAMAGED', message: /@one/ });
  await bucket!.write(location, 'images/s/@one', record);
  await bucket!.delete(location, objectKey(sha512(bytesOf('one'))));
  // The data of files is not needed to know what is.
  await collect(location, true);
  await bucket!.write(location, 'collector', 'x');
  await t.throwsAsync(collect(location), { code: 'STORE_BUSY' });
  t.is(await objectsIn(location), 6);
});

run('a condemned list that is damaged condemns nothing', async t => {
  const location = await makeStore(t);
  const reader = await bucket!.open(t, location);
  await reader.has([]);
  await collect(location);
  const [condemned] = await bucket!.keys(location, 'condemned/');
  const bytes = await bucket!.read(location, condemned!);
  bytes[3]! ^= 1;
  await bucket!.write(location, condemned!, bytes);
  await reader.close();
  t.like(await collect(location), { removedObjects: 1 });
  t.is(await objectsIn(location), 6);
  await noTraces(t, location);
});

run('who has stored and slept for so long that his lease has run out makes no image', async t => {
  const location = await makeStore(t);
  const sleeper = await bucket!.open(t, location);
  await sleeper.put(bytesOf('four'));
  const [lease] = await bucket!.keys(location, 'leases/');
  // As who collects does once it has run out.
  await bucket!.delete(location, lease!);
  t.like(await collect(location), { removedObjects: 2 });
  await t.throwsAsync(storeImage(sleeper, 's/four', treeOf('four')), {
    code: 'STORE_BUSY',
    message: /run this again/,
  });
  t.is((await sleeper.list()).length, 2);
  await sleeper.close();
  const again = await bucket!.open(t, location);
  await storeImage(again, 's/four', treeOf('one'));
  await again.close();
  await noTraces(t, location);
});
