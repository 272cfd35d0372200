import { isDeepStrictEqual } from 'node:util';
import test from 'ava';
import fc from 'fast-check';
import type { Entry } from '../../src/image/entry.js';
import { PageWriter } from '../../src/image/page.js';
import { comparePaths } from '../../src/image/path.js';
import type { LocatedEntry } from '../../src/store/compare.js';
import { compareManifests } from '../../src/store/compare.js';
import { gather } from '../gather.js';
import { manyFiles } from '../model/many-files.js';
import type { MemoryManifest } from '../model/memory-manifest.js';
import { manifestOf, readerOf } from '../model/memory-manifest.js';
import { changesBetween, entriesOf, treePlan } from '../model/tree.js';

async function compare(have: MemoryManifest, want: MemoryManifest) {
  const differences = await gather(compareManifests(have.reader, want.reader, {}));
  for (const { have: a, want: b } of differences) {
    await checkPlace(have, a);
    await checkPlace(want, b);
  }
  return differences.map(({ path, have: a, want: b }) => ({
    path,
    ...(a && { have: a.entry }),
    ...(b && { want: b.entry }),
  }));
}

async function checkPlace({ reader }: MemoryManifest, located: LocatedEntry | undefined): Promise<void> {
  if (located === undefined) return;
  const entry = (await reader.entriesOf(located.page))[located.index];
  if (entry?.path.equals(located.entry.path) !== true)
    throw new Error('the entry is not where it is said to be');
}

test('random trees differ as the plainest comparison says', async t => {
  await fc.assert(
    fc.asyncProperty(treePlan, treePlan, async (a, b) => {
      const [have, want] = [entriesOf(a), entriesOf(b)];
      t.deepEqual(await compare(manifestOf(have), manifestOf(want)), changesBetween(have, want));
    }),
    { numRuns: 100 },
  );
});

const large = manyFiles(8000);

test('trees of many pages differ as the plainest comparison says, and equal pages are not read', async t => {
  const change = fc.record({ at: fc.integer({ min: 1, max: large.length - 1 }), how: fc.nat({ max: 2 }) });
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(change, { maxLength: 5, selector: ({ at }) => at }), async changes => {
      const wanted = new Map(changes.map(({ at, how }) => [at, how]));
      const want = large.flatMap((entry, at): Entry[] => {
        const how = wanted.get(at);
        if (how === undefined || entry.type !== 'file') return [entry];
        if (how === 0) return [];
        if (how === 1) return [{ ...entry, mtime: 5n }];
        return [entry, { ...entry, path: Buffer.concat([entry.path, Buffer.from('x')]) }];
      });
      const [have, after] = [manifestOf(large), manifestOf(want)];
      have.read.clear();
      const differences = await gather(compareManifests(have.reader, after.reader, {}));
      t.true(have.read.size <= 2 * changes.length && after.read.size <= 2 * changes.length);
      t.true(have.pages.length > 5);
      const found = differences.map(({ path, have: a, want: b }) => ({
        path,
        ...(a && { have: a.entry }),
        ...(b && { want: b.entry }),
      }));
      t.true(isDeepStrictEqual(found, changesBetween(large, want)));
    }),
    { numRuns: 10 },
  );
});

test('trees that have nothing in common are compared in batches, each when it is asked for', async t => {
  const have = manyFiles(120_000);
  const want = have.map(entry => ({ ...entry, mtime: 5n }) as Entry);
  const [before, after] = [manifestOf(have), manifestOf(want)];
  let count = 0;
  let previous: Buffer | undefined;
  for await (const { path, have: a, want: b } of compareManifests(before.reader, after.reader, {})) {
    if (count === 0) t.true(before.read.size < before.pages.length);
    if (previous !== undefined && comparePaths(previous, path) >= 0) t.fail();
    if (!isDeepStrictEqual([a?.entry, b?.entry], [have[count], want[count]])) t.fail();
    previous = path;
    count++;
  }
  t.is(count, have.length);
});

test('trees whose names have nothing in common', async t => {
  const others = large.map((entry, at) => {
    return at === 0 ? entry : { ...entry, path: Buffer.concat([Buffer.from('x'), entry.path]) };
  });
  const differences = await gather(compareManifests(manifestOf(large).reader, manifestOf(others).reader, {}));
  t.is(differences.length, 2 * (large.length - 1));
  t.is(differences.filter(({ have }) => have !== undefined).length, large.length - 1);
});

const invalid = { code: 'IMAGE_INVALID' };

const differences = (have: MemoryManifest, want: MemoryManifest) =>
  gather(compareManifests(have.reader, want.reader, {}));

function encode(entries: readonly Entry[]): Buffer {
  const writer = new PageWriter();
  for (const entry of entries) writer.add(entry);
  return writer.take();
}

/** The large tree, with another page in the place of one in its middle. */
async function withPage(
  t: { pass(): void },
  change: (entries: Entry[], next: Entry[]) => Buffer,
  entries?: number,
): Promise<MemoryManifest> {
  const { index, pages, reader } = manifestOf(large);
  const page = change(await reader.entriesOf(3), await reader.entriesOf(4));
  t.pass();
  const before = index.pages[3]!;
  const digest = Buffer.alloc(64);
  const reference = { ...before, digest, length: page.length, entries: entries ?? before.entries };
  return readerOf({ ...index, pages: index.pages.with(3, reference) }, pages.with(3, page));
}

test('refused: a page that does not begin where its index says', async t => {
  const want = await withPage(t, entries => encode(entries.slice(1)));
  await t.throwsAsync(differences(manifestOf(large), want), { ...invalid, message: /not as its index says/ });
});

test('refused: a page that goes on where the next begins', async t => {
  const want = await withPage(t, (entries, next) =>
    encode([...entries, { ...next[0]!, mtime: 7n } as Entry]),
  );
  await t.throwsAsync(differences(manifestOf(large), want), { ...invalid, message: /not as its index says/ });
});

test('refused: a page that is none, and one of another length', async t => {
  const bad = await withPage(t, entries => Buffer.from(encode(entries).fill(0xff, 100, 110)));
  await t.throwsAsync(differences(manifestOf(large), bad), invalid);
  const none = await withPage(t, () => Buffer.from('hello'));
  await t.throwsAsync(differences(manifestOf(large), none), invalid);
  const short = manifestOf(large.with(5, { ...large[5]!, mtime: 7n } as Entry));
  const cut = readerOf(short.index, short.pages.with(0, short.pages[0]!.subarray(0, -1)));
  await t.throwsAsync(differences(manifestOf(large), cut), { ...invalid, message: /not as its index says/ });
});

test('refused: an entry with a path that leads out', async t => {
  const want = await withPage(
    t,
    entries =>
      encode([
        entries[0]!,
        { ...entries[1]!, path: Buffer.concat([entries[0]!.path, Buffer.from('/../x')]) },
      ]),
    2,
  );
  await t.throwsAsync(differences(manifestOf(large), want), { ...invalid, message: /"\.\."/ });
});

test('refused: an index that does not count the entries of a page right, be it read or not', async t => {
  const changed = large.with(5, { ...large[5]!, mtime: 7n } as Entry);
  for (const entries of [changed, large]) {
    for (const more of [-1, 1]) {
      const { index, pages } = manifestOf(entries);
      const reference = { ...index.pages[0]!, entries: index.pages[0]!.entries + more };
      const want = readerOf({ ...index, pages: index.pages.with(0, reference) }, pages);
      const refusal = { ...invalid, message: /not as its index says/ };
      await t.throwsAsync(differences(manifestOf(large), want), refusal);
    }
  }
});

test('refused: an entry that is longer than what it says', async t => {
  const want = await withPage(
    t,
    ([first]) => {
      const page = encode([{ ...first!, mtime: 7n } as Entry]);
      // One byte more belongs to the entry, whose length of one or two bytes follows the magic.
      const long = Buffer.concat([page, Buffer.of(0)]);
      long[8]!++;
      return long;
    },
    1,
  );
  await t.throwsAsync(differences(manifestOf(large), want), { ...invalid, message: /mean nothing/ });
});
