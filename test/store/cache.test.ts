import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { sha512 } from '../../src/image/digest.js';
import type { BringObject } from '../../src/store/cache/cache.js';
import { ObjectCache } from '../../src/store/cache/cache.js';
import { temporaryDirectory } from '../temporary-directory.js';

const OBJECTS = Array.from({ length: 8 }, (_, number) => Buffer.alloc(1000, number + 1));
const DIGESTS = OBJECTS.map(sha512);

/** Objects from elsewhere, and how often each was asked for. */
class Elsewhere {
  readonly asked: number[] = [];
  readonly bring: BringObject = async function* (this: Elsewhere, digest: Buffer): AsyncGenerator<Buffer> {
    const number = DIGESTS.findIndex(each => each.equals(digest));
    this.asked.push(number);
    yield Promise.resolve(OBJECTS[number]!);
  }.bind(this);
}

function open(t: ExecutionContext, directory: string, maxBytes = 1 << 20): ObjectCache {
  const cache = new ObjectCache({ directory, maxBytes });
  t.teardown(() => cache.close());
  return cache;
}

const fileOf = (directory: string, digest: Buffer): string => {
  const hex = digest.toString('hex');
  return join(directory, 'store/objects/sha512', hex.slice(0, 2), hex);
};
const kept = (directory: string): number[] =>
  [...DIGESTS.keys()].filter(number => existsSync(fileOf(directory, DIGESTS[number]!)));

test('what was fetched is not brought again', async t => {
  const directory = temporaryDirectory(t);
  const elsewhere = new Elsewhere();
  const cache = open(t, directory);
  const first = await cache.fetch([...DIGESTS.slice(0, 2), DIGESTS[0]!], elsewhere.bring, 4, {});
  t.is(first.bytesFetched, 2000);
  t.deepEqual(first.sizes, [1000, 1000, 1000]);
  const hex = DIGESTS[0]!.toString('hex');
  const path = `/proc/self/fd/${String(first.directory)}/${hex.slice(0, 2)}/${hex}`;
  t.deepEqual(readFileSync(path), OBJECTS[0]);
  await first.close();
  await cache.close();
  const again = await open(t, directory).fetch(DIGESTS.slice(0, 3), elsewhere.bring, 4, {});
  t.is(again.bytesFetched, 1000);
  t.deepEqual(elsewhere.asked.sort(), [0, 1, 2]);
  await again.close();
});

test('what is damaged in a cache is brought again', async t => {
  const directory = temporaryDirectory(t);
  const elsewhere = new Elsewhere();
  const cache = open(t, directory);
  await (await cache.fetch(DIGESTS, elsewhere.bring, 4, {})).close();
  for (const [number, content] of [Buffer.alloc(1000, 9), Buffer.alloc(0)].entries()) {
    const file = fileOf(directory, DIGESTS[number]!);
    chmodSync(file, 0o644);
    writeFileSync(file, content);
  }
  const again = await cache.fetch(DIGESTS, elsewhere.bring, 4, {});
  t.is(again.bytesFetched, 2000);
  t.deepEqual(elsewhere.asked.slice(8).sort(), [0, 1]);
  t.deepEqual(readFileSync(fileOf(directory, DIGESTS[0]!)), OBJECTS[0]);
  await again.close();
});

test('what comes and is another object is refused', async t => {
  const cache = open(t, temporaryDirectory(t));
  async function* other(): AsyncGenerator<Buffer> {
    yield Promise.resolve(Buffer.from('other'));
  }
  await t.throwsAsync(cache.fetch([DIGESTS[0]!], other, 4, {}), { code: 'STORE_DAMAGED' });
});

test('a cache stays as large as it may be, and what was needed last stays', async t => {
  const directory = temporaryDirectory(t);
  const elsewhere = new Elsewhere();
  const fetch = async (numbers: number[], maxBytes: number): Promise<void> => {
    const cache = open(t, directory, maxBytes);
    await (
      await cache.fetch(
        numbers.map(number => DIGESTS[number]!),
        elsewhere.bring,
        4,
        {},
      )
    ).close();
    await cache.close();
  };
  await fetch([0, 1, 2, 3, 4, 5], 10_000);
  for (const number of [0, 1, 2, 3, 4, 5])
    utimesSync(fileOf(directory, DIGESTS[number]!), 1000 + number, 1000 + number);
  await fetch([0], 10_000);
  await fetch([6], 4000);
  t.deepEqual(kept(directory), [0, 5, 6]);
});

test('what another program uses is not removed', async t => {
  const directory = temporaryDirectory(t);
  const elsewhere = new Elsewhere();
  const user = open(t, directory, 1000);
  const fetched = await user.fetch(DIGESTS.slice(0, 4), elsewhere.bring, 4, {});
  const other = open(t, directory, 1000);
  await (await other.fetch([DIGESTS[5]!], elsewhere.bring, 4, {})).close();
  await other.close();
  t.deepEqual(kept(directory), [0, 1, 2, 3, 5]);
  await fetched.close();
  await user.close();
  t.is(kept(directory).length, 0);
});

test('what is uploaded is gone afterwards, and what a dead process has left goes too', async t => {
  const directory = temporaryDirectory(t);
  const dead = join(directory, 'staging/dead');
  mkdirSync(dead, { recursive: true });
  writeFileSync(join(dead, 'lock'), '');
  const cache = open(t, directory);
  const first = await cache.stage();
  // It may be in the making.
  t.true(existsSync(dead));
  utimesSync(dead, 1000, 1000);
  const second = await cache.stage();
  t.false(existsSync(dead));
  t.is(readdirSync(join(directory, 'staging')).length, 2);
  const { digest } = await second.store.put(OBJECTS[0]!);
  t.deepEqual(readFileSync(second.pathOf(digest)), OBJECTS[0]);
  await first.close();
  await second.close();
  t.deepEqual(readdirSync(join(directory, 'staging')), []);
});
