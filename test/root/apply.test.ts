import { randomBytes } from 'node:crypto';
import { appendFileSync, chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import type { Entry } from '../../src/image/entry.js';
import { sha512 } from '../../src/image/digest.js';
import { comparePaths } from '../../src/image/path.js';
import { openDevice } from '../../src/volume/device.js';
import { requireClean } from '../../src/volume/require-clean.js';
import { StateDirectory } from '../../src/volume/state-directory.js';
import type { TreePlan } from '../model/tree.js';
import { entriesOf, treePlan } from '../model/tree.js';
import { VolumeFixture } from './volume-fixture.js';

/** As many revisions as can be tried in a few seconds. */
const REVISIONS = 25;

/** Trees of files with content, made from the seed. */
function sampleTrees(count: number, seed: number): Entry[][] {
  return fc.sample(treePlan, { numRuns: count, seed }).map((plan: TreePlan) => entriesOf(plan));
}

function file(path: string, text: string, more: Partial<Entry> = {}): Entry {
  const digest = sha512(Buffer.from(text));
  const metadata = { mode: 0o644, uid: 0, gid: 0, mtime: 1_000_000_001n, flags: 0, xattrs: [] };
  const content = { size: BigInt(text.length), holes: [], digest, names: [] };
  return { type: 'file', path: Buffer.from(path), ...metadata, ...content, ...more } as Entry;
}

function directory(path: string): Entry {
  const metadata = { mode: 0o755, uid: 0, gid: 0, mtime: 5n, flags: 0, xattrs: [] };
  return { type: 'directory', path: Buffer.from(path), ...metadata };
}

const small = [directory(''), directory('etc'), file('etc/hosts', 'one'), file('etc/motd', 'two')];

test('a volume becomes one random tree after the other, exactly', async t => {
  const volume = await VolumeFixture.make(t);
  const seed = Date.now() & 0xffff;
  t.log(`seed ${String(seed)}`);
  for (const entries of sampleTrees(REVISIONS, seed)) {
    const { scan } = await volume.apply(await volume.image(entries));
    t.is(scan, 'none');
    t.deepEqual(await volume.check(entries), { identical: true, differences: [] });
  }
});

test('an unchanged image is not written at all', async t => {
  const volume = await VolumeFixture.make(t);
  const image = await volume.image(small);
  await volume.apply(image);
  const before = volume.bytes();
  const result = await volume.apply(image);
  t.is(result.bytesWritten, 0);
  t.is(result.blocksWritten, 0);
  t.is(result.scan, 'none');
  t.is(result.from, image);
  t.deepEqual(result.entries, { added: 0, removed: 0, changed: 0, unchanged: 4 });
  t.is(volume.bytes(), before);
});

test('what somebody else did to a volume is found by a scan of stats, and undone', async t => {
  const volume = await VolumeFixture.make(t);
  const image = await volume.image(small);
  await volume.apply(image);
  await volume.mounted('rw', root => {
    writeFileSync(join(root, 'etc/motd'), 'TWO');
    chmodSync(join(root, 'etc/hosts'), 0o600);
    writeFileSync(join(root, 'lost+found/left'), 'behind');
  });
  const result = await volume.apply(image);
  t.is(result.scan, 'stat');
  t.deepEqual(await volume.check(small), { identical: true, differences: [] });
  t.is((await volume.apply(image)).scan, 'none');
});

test('a volume that was only looked at is still known', async t => {
  const volume = await VolumeFixture.make(t);
  const image = await volume.image(small);
  await volume.apply(image);
  await volume.mounted('ro,noload', root => readFileSync(join(root, 'etc/hosts')));
  t.is((await volume.apply(image)).scan, 'none');
});

test('when what is known is lost or damaged, all of the volume is read', async t => {
  const volume = await VolumeFixture.make(t);
  const image = await volume.image(small);
  await volume.apply(image);
  rmSync(volume.stateDirectory, { recursive: true });
  t.is((await volume.apply(image, { format: false })).scan, 'full');
  t.is((await volume.apply(image)).scan, 'none');
  const uuid = join(volume.stateDirectory, 'volumes');
  const [state] = String(await import('node:fs/promises').then(fs => fs.readdir(uuid, { recursive: true })))
    .split(',')
    .filter(path => path.endsWith('/state'));
  appendFileSync(join(uuid, state!), ' ');
  t.is((await volume.apply(image)).scan, 'full');
  t.is((await volume.apply(image, { verify: 'full' })).scan, 'full');
});

test('whichever byte of the pages that are known is damaged, the volume becomes exactly the image', async t => {
  const volume = await VolumeFixture.make(t);
  const tree = (...more: Entry[]): Entry[] => {
    const many = Array.from({ length: 1500 }, (_, at) =>
      file(`etc/n${String(at).padStart(4, '0')}`, 'three'),
    );
    return [...small, ...many, ...more].sort((a, b) => comparePaths(a.path, b.path));
  };
  const trees = [tree(), tree(directory('etc/n0700d'), file('etc/n0700d/new', 'one'))];
  const images = [await volume.image(trees[0]!), await volume.image(trees[1]!)];
  await volume.apply(images[0]!);
  const scans = new Set<string>();
  for (let at = 0; at < 12; at++) {
    const names = readdirSync(volume.stateDirectory, { recursive: true, encoding: 'utf8' });
    const path = join(
      volume.stateDirectory,
      names.find(name => /\/pages\.\d+$/.test(name))!,
    );
    const bytes = readFileSync(path);
    const damaged = Math.floor((bytes.length * (at + 0.5)) / 12);
    bytes[damaged] = bytes[damaged]! ^ 1;
    writeFileSync(path, bytes);
    const turn = (at + 1) % 2;
    const { scan, blocksWritten } = await volume.apply(images[turn]!);
    scans.add(scan);
    t.not(blocksWritten, 0);
    t.deepEqual(await volume.check(trees[turn]!), { identical: true, differences: [] });
  }
  t.true(scans.has('full'), [...scans].join());
});

test('interrupted work leaves a doubtful volume, which the next run repairs', async t => {
  const volume = await VolumeFixture.make(t);
  const first = await volume.image(small);
  await volume.apply(first);
  const many = Array.from({ length: 3000 }, (_, at) => file(`etc/n${String(at).padStart(5, '0')}`, 'three'));
  const entries = [
    directory(''),
    directory('etc'),
    file('etc/hosts', 'two'),
    file('etc/motd', 'two'),
    ...many,
  ];
  const second = await volume.image(entries);
  const stop = new AbortController();
  const progress = {
    step: (what: string) => {
      if (what === 'Writing the volume') setImmediate(() => stop.abort());
      return { update: () => undefined, end: () => undefined };
    },
  };
  await t.throwsAsync(volume.apply(second, { signal: stop.signal, progress }), { code: 'CANCELLED' });
  const state = await StateDirectory.open(volume.stateDirectory);
  const device = await openDevice(volume.device, { write: false });
  await t.throwsAsync(requireClean(state, device), { code: 'VOLUME_DOUBTFUL' });
  await device.file.close();
  await state.close();
  const result = await volume.apply(second);
  t.is(result.scan, 'repair');
  t.is(result.from, first);
  t.deepEqual(await volume.check(entries), { identical: true, differences: [] });
});

test('a large file is changed in place, holes and all', async t => {
  const volume = await VolumeFixture.make(t);
  const block = (fill: string, count: number): Buffer => Buffer.alloc(4096 * count, fill);
  const before = Buffer.concat([block('a', 300), block('b', 300)]);
  const after = Buffer.concat([block('a', 300), block('c', 1), block('b', 298)]);
  for (const bytes of [before, after]) await volume.store.put(bytes);
  const big = (bytes: Buffer, holes: { start: bigint; count: bigint }[], size: bigint): Entry =>
    file('big', '', { size, holes, digest: sha512(bytes) });
  const one = [directory(''), big(before, [{ start: 300n, count: 100n }], 700n * 4096n)];
  const two = [directory(''), big(after, [{ start: 0n, count: 50n }], 649n * 4096n)];
  await volume.apply(await volume.image(one));
  t.true((await volume.check(one)).identical);
  await volume.apply(await volume.image(two));
  t.deepEqual(await volume.check(two), { identical: true, differences: [] });
  await volume.apply(await volume.image(one));
  t.deepEqual(await volume.check(one), { identical: true, differences: [] });
});

test('of a file of which only holes differ nothing is read from the store or written', async t => {
  const volume = await VolumeFixture.make(t);
  const zeros = Buffer.alloc(4096 * 20);
  const data = randomBytes(4096 * 200 + 100);
  const dense = Buffer.concat([data.subarray(0, 4096 * 120), zeros, data.subarray(4096 * 120)]);
  for (const bytes of [dense, data]) await volume.store.put(bytes);
  const big = (bytes: Buffer, holes: { start: bigint; count: bigint }[]): Entry =>
    file('big', '', { size: BigInt(dense.length), holes, digest: sha512(bytes) });
  const one = [directory(''), big(dense, [])];
  const two = [directory(''), big(data, [{ start: 120n, count: 20n }])];
  const [first, second] = [await volume.image(one), await volume.image(two)];
  await volume.apply(first);
  const object = sha512(data).toString('hex');
  rmSync(join(volume.directory, 'store/objects/sha512', object.slice(0, 2), object));
  const to = await volume.apply(second);
  t.true(to.bytesWritten < 65_536, String(to.bytesWritten));
  t.deepEqual(await volume.check(two), { identical: true, differences: [] });
  await volume.apply(first);
  t.deepEqual(await volume.check(one), { identical: true, differences: [] });
});

test('how a file gets another content depends on what else changes, and is right in every way', async t => {
  const volume = await VolumeFixture.make(t);
  const content = (text: string): Partial<Entry> => ({
    size: BigInt(text.length),
    digest: sha512(Buffer.from(text)),
  });
  const texts = [
    'one',
    'two',
    'a'.repeat(10_000),
    'b'.repeat(10_000),
    'c'.repeat(100_000),
    'd'.repeat(99_000),
  ];
  for (const text of texts) await volume.store.put(Buffer.from(text));
  const tree = (first: string, second: string, third: string, more: Entry[]): Entry[] =>
    [
      directory(''),
      directory('x'),
      file('x/small', '', content(first)),
      directory('y'),
      file('y/middle', '', content(second)),
      directory('z'),
      file('z/large', '', content(third)),
      ...more,
    ].sort((a, b) => comparePaths(a.path, b.path));
  const many = Array.from({ length: 70 }, (_, at) => file(`x/${String(at)}`, 'one'));
  const trees = [
    tree(texts[0]!, texts[2]!, texts[4]!, []),
    tree(texts[1]!, texts[3]!, texts[4]!, []),
    tree(texts[0]!, texts[2]!, texts[5]!, many),
    tree(texts[1]!, texts[3]!, texts[4]!, many.slice(1)),
  ];
  for (const entries of [...trees, ...trees.reverse()]) {
    await volume.apply(await volume.image(entries));
    t.deepEqual(await volume.check(entries), { identical: true, differences: [] });
  }
});
