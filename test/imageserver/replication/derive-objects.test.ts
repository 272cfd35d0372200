import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { sha512 } from '../../../src/image/digest.js';
import type { Entry, Hole } from '../../../src/image/entry.js';
import { segmentsOf } from '../../../src/image/entry.js';
import { silentProgress } from '../../../src/image/progress.js';
import { replicate } from '../../../src/imageserver/replication/replicate.js';
import { buildImage } from '../../../src/store/build.js';
import { objectPath, OBJECTS } from '../../../src/store/local/layout.js';
import type { Store } from '../../../src/store/store.js';
import { collecting, contentOf, faultsOf, makeEnds, treeOf } from './stores.js';

const BLOCK = 4096;
const BLOCKS = 600;

/** Random-looking bytes with a run of zeros in the middle. */
function content(salt: string): Buffer {
  const bytes = Buffer.concat(
    Array.from({ length: BLOCKS }, (_, at) => Buffer.alloc(BLOCK, `${salt} ${String(at)} `)),
  );
  return bytes.fill(0, 200 * BLOCK, 400 * BLOCK).subarray(0, BLOCKS * BLOCK - 100);
}

/** Builds an image with one file besides others. */
async function build(store: Store, leaf: string, bytes: Buffer, holes: Hole[]): Promise<Buffer> {
  const size = BigInt(bytes.length);
  const data = Buffer.concat(
    segmentsOf(size, holes).map(({ offset, length }) =>
      bytes.subarray(Number(offset), Number(offset + length)),
    ),
  );
  await store.put(data);
  await store.put(Buffer.from('another'));
  const digest = sha512(data);
  const [root, another] = treeOf(['another']);
  const file = { ...another!, path: Buffer.from('large'), size, holes, digest } as Entry;
  const facts = { name: `os/a/${leaf}`, createdAt: new Date(), expiresAt: null, tags: {}, annotations: {} };
  const tree = { entries: () => [root!, another!, file] };
  await buildImage(store, tree, { ...facts, progress: silentProgress });
  return digest;
}

const NONE: Hole[] = [];
const SOME: Hole[] = [{ start: 250n, count: 100n }];
const ALL: Hole[] = [{ start: 200n, count: 200n }];
const ELSEWHERE: Hole[] = [{ start: 200n, count: 50n }];

for (const [from, to] of [
  [NONE, ALL],
  [ALL, NONE],
  [SOME, ELSEWHERE],
] as const) {
  test(`a file that has other holes is made of what is there: ${String(from.length)} to ${String(to.length)}, ${String(to[0]?.count)}`, async t => {
    const { source, destination } = await makeEnds(t);
    await build(source, '1', content('a'), [...from]);
    await replicate({ source, destination }, collecting(), false);
    const digest = await build(source, '2', content('a'), [...to]);
    const told = collecting();
    await replicate({ source, destination }, told, false);
    const event = told.events.find(({ kind }) => kind === 'image');
    // Its pages and the index.
    t.true(event?.kind === 'image' && event.bytes < 10_000, JSON.stringify(told.events));
    t.deepEqual((await destination.check([digest], {})).faults, []);
    t.deepEqual(await contentOf(destination), await contentOf(source));
    t.deepEqual(await faultsOf(destination), []);
  });
}

test('a file that has other holes and other bytes travels', async t => {
  const { source, destination } = await makeEnds(t);
  await build(source, '1', content('a'), []);
  await replicate({ source, destination }, collecting(), false);
  await build(source, '2', content('b'), [...ALL]);
  await replicate({ source, destination }, collecting(), false);
  t.deepEqual(await contentOf(destination), await contentOf(source));
  t.deepEqual(await faultsOf(destination), []);
});

test('a file that would be made of a damaged one travels', async t => {
  const { source, destination } = await makeEnds(t);
  const first = await build(source, '1', content('a'), []);
  await replicate({ source, destination }, collecting(), false);
  const path = join(destination.location, OBJECTS, objectPath(first));
  chmodSync(path, 0o644);
  const damaged = content('a');
  damaged[10]! ^= 1;
  writeFileSync(path, damaged);
  const second = await build(source, '2', content('a'), [...ALL]);
  await replicate({ source, destination }, collecting(), false);
  t.deepEqual((await destination.check([second], {})).faults, []);
});
