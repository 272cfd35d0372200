import test from 'ava';
import fc from 'fast-check';
import { sha512 } from '../../src/image/digest.js';
import type { Entry, FileEntry, LinkEntry } from '../../src/image/entry.js';
import { dataSizeOf } from '../../src/image/entry.js';
import { diffManifests } from '../../src/store/diff.js';
import { manifestOf } from '../model/memory-manifest.js';
import { entriesOf, treePlan } from '../model/tree.js';

const common = { mode: 0o644, uid: 0, gid: 0, mtime: 0n, flags: 0, xattrs: [] };
const root: Entry = { ...common, type: 'directory', path: Buffer.alloc(0) };

function file(path: string, content: string, ...names: string[]): FileEntry {
  const data = { size: BigInt(content.length), holes: [], digest: sha512(Buffer.from(content)) };
  return {
    ...common,
    type: 'file',
    path: Buffer.from(path),
    names: names.map(name => Buffer.from(name)),
    ...data,
  };
}
function link(path: string, target: string): LinkEntry {
  return { type: 'link', path: Buffer.from(path), target: Buffer.from(target) };
}

const diff = (from: Entry[], to: Entry[]) =>
  diffManifests(manifestOf([root, ...from]).reader, manifestOf([root, ...to]).reader, {});

test('what is added, removed and changed', async t => {
  const from = [file('a', 'one'), file('b', 'two'), file('c', 'three')];
  const to = [file('b', 'TWO'), { ...file('c', 'three'), mode: 0o600 }, file('d\xff', 'four')];
  t.deepEqual(await diff(from, to), {
    added: ['/dÿ'],
    removed: ['/a'],
    changed: [
      { path: '/b', what: ['content'] },
      { path: '/c', what: ['mode'] },
    ],
    newBytes: 7n,
  });
});

test('nothing differs from itself', async t => {
  const entries = [file('a', 'one', 'b'), link('b', 'a')];
  t.deepEqual(await diff(entries, entries), { added: [], removed: [], changed: [], newBytes: 0n });
});

test('data that the first image has anywhere is not new, and the same data is new once', async t => {
  const moved = await diff(
    [file('a', 'one'), file('same', 'two')],
    [file('b', 'one'), file('c', 'two'), file('same', 'two')],
  );
  t.is(moved.newBytes, 0n);
  t.is((await diff([], [file('a', 'one'), file('b', 'one'), file('c', 'three')])).newBytes, 8n);
});

test('what is new of random trees is what the plainest count says', async t => {
  const filesOf = (entries: readonly Entry[]): Map<string, bigint> =>
    new Map(
      entries.flatMap(entry => {
        const isData = entry.type === 'file' && entry.digest !== null;
        return isData ? [[entry.digest!.toString('hex'), dataSizeOf(entry.size, entry.holes)]] : [];
      }),
    );
  await fc.assert(
    fc.asyncProperty(treePlan, treePlan, async (a, b) => {
      const [from, to] = [entriesOf(a), entriesOf(b)];
      const known = filesOf(from);
      const sizes = [...filesOf(to)].map(([digest, size]) => (known.has(digest) ? 0n : size));
      const { newBytes } = await diffManifests(manifestOf(from).reader, manifestOf(to).reader, {});
      t.is(
        newBytes,
        sizes.reduce((sum, size) => sum + size, 0n),
      );
    }),
    { numRuns: 200 },
  );
});

test('data is found in pages that were compared and in those that are the same', async t => {
  const from = Array.from({ length: 5000 }, (_, at) =>
    file(`of-a-file-${String(at).padStart(6, '0')}`, String(at)),
  );
  const to = [...from];
  const become = (at: number, content: Pick<FileEntry, 'size' | 'digest' | 'holes'>): void => {
    const { size, digest, holes } = content;
    to[at] = { ...from[at]!, size, digest, holes };
  };
  become(10, from[4990]!);
  become(20, from[21]!);
  become(2500, from[11]!);
  const sparse = { start: 1n, count: 2n };
  become(30, { size: 20_000n, digest: sha512(Buffer.from('sparse')), holes: [sparse] });
  become(31, { size: 8191n, digest: sha512(Buffer.from('short')), holes: [{ start: 1n, count: 1n }] });
  become(2501, { size: 3n, digest: sha512(Buffer.from('new')), holes: [] });
  const [before, after] = [manifestOf([root, ...from]), manifestOf([root, ...to])];
  t.true(before.pages.length > 5);
  const { changed, newBytes } = await diffManifests(before.reader, after.reader, {});
  t.is(changed.length, 6);
  t.is(newBytes, 20_000n - 8192n + 4096n + 3n);
  t.is(after.read.size, 2);
});

/** A digest that somebody has made up: it begins as all others do, and differs at the end. */
function madeUp(number: number): Buffer {
  const digest = Buffer.alloc(64, 7);
  digest.writeUInt32BE(number, 60);
  return digest;
}

test('digests that begin alike are told apart', async t => {
  const of = (path: string, number: number, size: bigint): FileEntry => {
    return { ...file(path, ''), size, digest: madeUp(number) };
  };
  const from = [of('a', 5, 1n), of('b', 2, 10n)];
  const to = [3, 5, 1, 3, 4, 2, 1].map((number, at) =>
    of(`new-${String(at)}`, number, 10n ** BigInt(number)),
  );
  t.is((await diff(from, to)).newBytes, 10n + 1000n + 10_000n);
});

test('more files than are kept in one piece', async t => {
  const to = Array.from({ length: 40_000 }, (_, at) => {
    const name = String(at).padStart(6, '0');
    return { ...file(name, ''), size: 3n, digest: sha512(Buffer.from(String(at % 30_000))) };
  });
  const { added, newBytes } = await diff(to.slice(29_000), to);
  t.is(added.length, 29_000);
  t.is(newBytes, 19_000n * 3n);
});

test('a name that becomes one of another inode is told with what differs there', async t => {
  const apart = [file('a', 'one'), file('b', 'two')];
  const together = [file('a', 'one', 'b'), link('b', 'a')];
  t.deepEqual((await diff(apart, together)).changed, [
    { path: '/a', what: ['links'] },
    { path: '/b', what: ['content', 'links'] },
  ]);
  t.deepEqual((await diff(together, apart)).changed, [
    { path: '/a', what: ['links'] },
    { path: '/b', what: ['content', 'links'] },
  ]);
});

test('names whose first one goes are still the same file', async t => {
  const from = [file('a', 'one', 'b', 'c'), link('b', 'a'), link('c', 'a')];
  const to = [file('b', 'one', 'c'), link('c', 'b')];
  t.deepEqual(await diff(from, to), {
    added: [],
    removed: ['/a'],
    changed: [
      { path: '/b', what: ['links'] },
      { path: '/c', what: ['links'] },
    ],
    newBytes: 0n,
  });
});
