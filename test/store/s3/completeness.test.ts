import fc from 'fast-check';
import type { TestFn } from 'ava';
import test from 'ava';
import { sha512 } from '../../../src/image/digest.js';
import type { Entry } from '../../../src/image/entry.js';
import { storeImage } from '../../model/stored-image.js';
import { withMoto } from '../../moto.js';
import { BUCKET, keyOf, MotoBucket } from './s3-under-test.js';

const run = withMoto('replication of a store by S3') as TestFn;
const bucket = run === test ? MotoBucket.during(test) : undefined;

const common = { mode: 0o755, uid: 0, gid: 0, mtime: 0n, flags: 0, xattrs: [] };
const TEXTS = ['one', 'two', 'three'];
const TREE: Entry[] = [
  { ...common, type: 'directory', path: Buffer.alloc(0) },
  ...['one', 'two'].map((text): Entry => {
    const digest = sha512(Buffer.from(text));
    const data = { size: BigInt(text.length), holes: [], digest, names: [] };
    return { ...common, type: 'file', path: Buffer.from(text), ...data };
  }),
];

/** What S3 copies keys from one bucket to another for, done by hand, in any order. */
run('an image is visible only when all of it has arrived, in whatever order', async t => {
  const s3 = bucket!;
  const source = s3.newLocation();
  const store = await s3.open(t, source);
  await storeImage(store, 's/a', TREE);
  const noted = await store.put(Buffer.from('a note'));
  const record = await store.image('s/a');
  await store.create({ ...record, name: 's/noted', annotations: { note: noted.digest.toString('hex') } });
  await store.close();
  const keys = (await s3.keys(source)).filter(key => key !== 'format' && !key.startsWith('leases/'));
  const three = sha512(Buffer.from('three')).toString('hex');
  const order = fc.shuffledSubarray(keys, { minLength: keys.length });
  await fc.assert(
    fc.asyncProperty(order, async arriving => {
      const replica = s3.newLocation();
      const seen = await s3.open(t, replica);
      const there = new Set<string>();
      for (const key of arriving) {
        // What is noted of one bucket is not true of another.
        const at = key.replace(`complete/${BUCKET}/`, 'complete/elsewhere/');
        await s3.write(replica, at, await s3.read(source, key));
        there.add(key);
        const missing = (needs: string[]): boolean => needs.some(need => !there.has(need));
        const objects = keys.filter(each => each.startsWith('objects/') && !each.endsWith(three));
        const note = objects.filter(each => each.endsWith(noted.digest.toString('hex')));
        const others = objects.filter(each => !note.includes(each));
        const whole = [
          ...(missing([...others, 'images/s/@a']) ? [] : ['s/a']),
          ...(missing([...objects, 'images/s/@noted']) ? [] : ['s/noted']),
        ];
        t.deepEqual((await seen.list()).map(({ name }) => name).sort(), whole);
      }
      t.is((await seen.image('s/noted')).digest, record.digest);
      await seen.close();
    }),
    { numRuns: 4 },
  );
});

run('an image that has not arrived is said to be on its way, and the revision does not settle', async t => {
  const s3 = bucket!;
  const location = s3.newLocation();
  const store = await s3.open(t, location);
  await storeImage(store, 's/a', TREE);
  const key = `objects/${sha512(Buffer.from('one')).toString('hex').slice(0, 2)}/${sha512(Buffer.from('one')).toString('hex')}`;
  const bytes = await s3.read(location, key);
  await s3.delete(location, key);
  for (const each of await s3.keys(location, 'complete/')) await s3.delete(location, each);
  const replica = await s3.open(t, location);
  t.deepEqual(await replica.list(), []);
  const [before, again] = [await replica.revision(), await replica.revision()];
  t.not(before, again);
  await t.throwsAsync(replica.image('s/a'), { code: 'IMAGE_UNKNOWN', message: /have arrived/ });
  await s3.write(location, key, bytes);
  t.is((await replica.list()).length, 1);
  t.is((await s3.keys(location, 'complete/')).length, 1);
  t.is(keyOf(location, key).Bucket, BUCKET);
  t.deepEqual(await replica.read(sha512(Buffer.from(TEXTS[0]!)), 3), Buffer.from('one'));
});
