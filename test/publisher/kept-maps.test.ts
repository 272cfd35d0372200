import test from 'ava';
import { TAG } from '../../src/cloud/cloud.js';
import type { DiskMap } from '../../src/image/disk-map.js';
import { DISK_BLOCK_SIZE } from '../../src/image/disk-map.js';
import { keptMaps } from '../../src/publisher/kept-maps.js';
import type { Store } from '../../src/store/store.js';
import { ModelDisk } from '../model/disk.js';

const TAGS = { [TAG.imageDigest]: 'aa' };
const { map: MAP } = ModelDisk.of({ 0: 1 }, DISK_BLOCK_SIZE);

/** A store that has `maps` and counts what it is asked; `fails` says how often it fails first. */
function storeOf(maps: Map<string, DiskMap>, fails = 0) {
  const asked: string[] = [];
  const ask = async <T>(what: string, answer: () => T): Promise<T> => {
    asked.push(what);
    await Promise.resolve();
    if (asked.length <= fails) throw new Error('the store is away');
    return answer();
  };
  const store = {
    // A store reads a new copy each time.
    diskMap: (image: string, disk: Buffer) =>
      ask(`find ${image} ${disk.toString('hex')}`, () => {
        const map = maps.get(`${image} ${disk.toString('hex')}`);
        return map && { ...map };
      }),
    keepDiskMap: (image: string) => ask(`keep ${image}`, () => undefined),
  };
  return { asked, store: store as unknown as Store };
}

test('all targets share one copy of a map, which is read once', async t => {
  const { store, asked } = storeOf(new Map([['aa 01', MAP]]));
  const maps = keptMaps(store);
  const together = await Promise.all(Array.from({ length: 5 }, () => maps.find(TAGS, '01')));
  t.deepEqual(together[0], MAP);
  t.is(new Set([...together, await maps.find(TAGS, '01')]).size, 1);
  t.deepEqual(asked, ['find aa 01']);
});

test('a map that was not kept, or could not be read, is asked for again', async t => {
  const held = new Map<string, DiskMap>();
  const { store, asked } = storeOf(held, 1);
  const maps = keptMaps(store);
  await t.throwsAsync(maps.find(TAGS, '01'), { message: 'the store is away' });
  t.is(await maps.find(TAGS, '01'), undefined);
  held.set('aa 01', MAP);
  t.deepEqual(await maps.find(TAGS, '01'), MAP);
  t.is(asked.length, 3);
});

test('maps that were not asked for lately are let go', async t => {
  const names = Array.from({ length: 20 }, (_, at) => String(at).padStart(2, '0'));
  const { store, asked } = storeOf(new Map(names.map(name => [`aa ${name}`, MAP])));
  const maps = keptMaps(store);
  for (const name of names) await maps.find(TAGS, name);
  await maps.find(TAGS, names.at(-1)!);
  t.is(asked.length, 20);
  await maps.find(TAGS, names[0]!);
  t.is(asked.length, 21);
});

test('all targets keep a map once, for each image that it is of, and again after a failure', async t => {
  const { store, asked } = storeOf(new Map(), 1);
  const maps = keptMaps(store);
  await t.throwsAsync(maps.keep(TAGS, MAP), { message: 'the store is away' });
  await Promise.all([maps.keep(TAGS, MAP), maps.keep(TAGS, MAP)]);
  await maps.keep({ [TAG.imageDigest]: 'bb' }, MAP);
  t.deepEqual(asked, ['keep aa', 'keep aa', 'keep bb']);
});

test('without a store, and of what is no image of ours, nothing is known', async t => {
  t.is(await keptMaps(undefined).find(TAGS, '01'), undefined);
  await keptMaps(undefined).keep(TAGS, MAP);
  const { store, asked } = storeOf(new Map());
  t.is(await keptMaps(store).find({}, '01'), undefined);
  await keptMaps(store).keep({}, MAP);
  t.deepEqual(asked, []);
});
