import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { sha512 } from '../../src/image/digest.js';
import type { FileData } from '../../src/store/derivable.js';
import type { LocalStore } from '../../src/store/local/store.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { temporaryDirectory } from '../temporary-directory.js';

const BLOCK = 4096;
const [HEAD, TAIL] = [Buffer.alloc(3 * BLOCK, 'head '), Buffer.alloc(5 * BLOCK, 'tail ')];
const MIDDLE = Buffer.alloc(4 * BLOCK);
const SIZE = BigInt(HEAD.length + MIDDLE.length + TAIL.length);
const SPARSE = Buffer.concat([HEAD, TAIL]);
const WHOLE = Buffer.concat([HEAD, MIDDLE, TAIL]);
const HOLE = [{ start: 3n, count: 4n }];

const data = (bytes: Buffer, holes: FileData['holes']): FileData => ({
  size: SIZE,
  holes,
  digest: sha512(bytes),
});
const sparse = data(SPARSE, HOLE);
const whole = data(WHOLE, []);

async function makeStore(t: ExecutionContext): Promise<{ store: LocalStore; location: string }> {
  const location = join(temporaryDirectory(t), 'store');
  const store = await openLocalStore(location, { create: true });
  t.teardown(() => store.close());
  return { store, location };
}

function pathOf(location: string, { digest }: FileData): string {
  const hex = digest!.toString('hex');
  return join(location, 'objects/sha512', hex.slice(0, 2), hex);
}

/** What lies in the sessions of a store, but for what they are known by. */
function leftIn(location: string): string[] {
  return readdirSync(location, { recursive: true })
    .map(String)
    .filter(path => path.includes('object-'));
}

for (const [title, from, bytes, to, made] of [
  ['zeros become a hole', whole, WHOLE, sparse, SPARSE],
  ['a hole becomes zeros', sparse, SPARSE, whole, WHOLE],
] as const) {
  test(`an object is made of another one: ${title}`, async t => {
    const { store, location } = await makeStore(t);
    await store.put(bytes);
    t.true(await store.derive(to, from));
    t.deepEqual(await store.read(to.digest!, 1 << 20), made);
    // What is there and damaged is mended.
    rmSync(pathOf(location, to));
    writeFileSync(pathOf(location, to), 'x');
    t.true(await store.derive(to, from));
    t.deepEqual(await store.read(to.digest!, 1 << 20), made);
    t.deepEqual(leftIn(location), []);
  });
}

test('of what is not there, is damaged, or has other bytes, nothing is made', async t => {
  const { store, location } = await makeStore(t);
  t.false(await store.derive(whole, sparse));
  await store.put(SPARSE);
  t.false(await store.derive({ ...whole, digest: sha512(Buffer.from('other')) }, sparse));
  for (const damaged of [Buffer.alloc(SPARSE.length), SPARSE.subarray(1)]) {
    rmSync(pathOf(location, sparse));
    writeFileSync(pathOf(location, sparse), damaged);
    t.false(await store.derive(whole, sparse));
  }
  t.deepEqual(await store.has([whole.digest!]), [false]);
  t.deepEqual(leftIn(location), []);
});

test('what is no longer wanted is not made, and leaves nothing', async t => {
  const { store, location } = await makeStore(t);
  await store.put(SPARSE);
  await t.throwsAsync(store.derive(whole, sparse, AbortSignal.abort()), { code: 'CANCELLED' });
  t.deepEqual(await store.has([whole.digest!]), [false]);
  t.deepEqual(leftIn(location), []);
});

test('of more than can be made soon, what is too much is refused at once', async t => {
  const { store } = await makeStore(t);
  await store.put(SPARSE);
  const made = await Promise.all(Array.from({ length: 20 }, () => store.derive(whole, sparse)));
  t.is(made.filter(Boolean).length, 16);
  t.true(await store.derive(whole, sparse));
});
