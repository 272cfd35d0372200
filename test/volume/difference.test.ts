import test from 'ava';
import fc from 'fast-check';
import { ImageUnpackerError } from '../../src/image/error.js';
import type { Entry } from '../../src/image/entry.js';
import type { ManifestIndex } from '../../src/image/manifest.js';
import { comparePaths, isBelow } from '../../src/image/path.js';
import { TreeValidator } from '../../src/image/validate.js';
import { differenceOf } from '../../src/volume/difference.js';
import { manyFiles } from '../model/many-files.js';
import { manifestOf, readerOf } from '../model/memory-manifest.js';
import { entriesOf, treePlan } from '../model/tree.js';

/*
 * A comparison reads only what differs, and still must refuse every manifest that is no tree: just those
 * that a reader of all of it refuses.
 */

const path = fc
  .constantFrom('a', 'b', 'a/a', 'a/b', 'b/a', 'a/b/c', 'c/a', 'd')
  .map(text => Buffer.from(text));

/** Ways in which somebody may forge a tree. */
const forgery = fc.oneof(
  fc.record({ do: fc.constant('remove' as const), at: fc.nat() }),
  fc.record({ do: fc.constant('copy' as const), at: fc.nat(), path }),
  fc.record({ do: fc.constant('link' as const), target: path, path }),
  fc.record({ do: fc.constant('name' as const), at: fc.nat(), path }),
  fc.record({ do: fc.constant('unname' as const), at: fc.nat() }),
  fc.record({ do: fc.constant('flatten' as const), at: fc.nat() }),
);
type Forgery = typeof forgery extends fc.Arbitrary<infer T> ? T : never;

function forge(entries: readonly Entry[], change: Forgery): Entry[] {
  const at = 'at' in change ? change.at % entries.length : 0;
  const entry = entries[at]!;
  const placed = (added: Entry): Entry[] =>
    [...entries.filter(other => !other.path.equals(added.path)), added].sort((a, b) =>
      comparePaths(a.path, b.path),
    );
  switch (change.do) {
    case 'remove':
      return entries.length === 1 ? [...entries] : entries.toSpliced(at, 1);
    case 'copy':
      return placed({ ...entry, path: change.path });
    case 'link':
      return comparePaths(change.target, change.path) < 0
        ? placed({ type: 'link', path: change.path, target: change.target })
        : [...entries];
    case 'name': {
      if (!('names' in entry) || comparePaths(entry.path, change.path) >= 0) return [...entries];
      const names = [...entry.names.filter(name => !name.equals(change.path)), change.path].sort(
        comparePaths,
      );
      return entries.with(at, { ...entry, names });
    }
    case 'unname':
      return 'names' in entry ? entries.with(at, { ...entry, names: entry.names.slice(1) }) : [...entries];
    case 'flatten':
      return entry.type === 'directory'
        ? entries.with(at, { ...entry, type: 'fifo', flags: 0, xattrs: [], names: [] })
        : [...entries];
  }
}

/** What an invalid entry says; undefined of what is a tree. */
async function refusal(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (reason) {
    if (reason instanceof ImageUnpackerError && reason.code === 'IMAGE_INVALID') return reason.message;
    throw reason;
  }
}

/** What is wrong with a tree that begins with a root, as somebody sees who reads all of it. */
function treeFault(index: ManifestIndex, entries: readonly Entry[]): Promise<string | undefined> {
  return refusal(async () => {
    const validator = new TreeValidator();
    for (const entry of entries) validator.add(entry);
    validator.finish(index);
    return Promise.resolve();
  });
}

test('a forged tree is refused by a comparison just when all of it would be', async t => {
  // What is forged is another tree, or the one that is there.
  const tree = fc.oneof(
    fc.tuple(treePlan, treePlan),
    treePlan.map(plan => [plan, plan] as const),
  );
  const forgeries = fc.array(forgery, { maxLength: 3 });
  let [refused, accepted] = [0, 0];
  await fc.assert(
    fc.asyncProperty(tree, forgeries, async ([a, b], changes) => {
      const have = entriesOf(a);
      const forged = changes.reduce(forge, entriesOf(b));
      fc.pre(forged[0]!.path.length === 0);
      const want = manifestOf(forged);
      const fault = await treeFault(want.index, forged);
      const found = await refusal(() => differenceOf(manifestOf(have).reader, want.reader, {}));
      t.is(found === undefined, fault === undefined, `${String(found)}; ${String(fault)}`);
      if (found === undefined) accepted++;
      else refused++;
    }),
    { numRuns: 1000 },
  );
  t.true(refused > 50 && accepted > 50, `${String(refused)} refused, ${String(accepted)} accepted`);
});

test('an index that counts anything wrong is refused', async t => {
  await fc.assert(
    fc.asyncProperty(treePlan, treePlan, async (a, b) => {
      const { index, pages } = manifestOf(entriesOf(b));
      for (const lie of [{ bytes: index.bytes + 1n }, { blocks: index.blocks + 1n }]) {
        const want = readerOf({ ...index, ...lie }, pages);
        const found = await refusal(() => differenceOf(manifestOf(entriesOf(a)).reader, want.reader, {}));
        t.regex(found ?? '', /does not count its entries right/);
      }
    }),
    { numRuns: 20 },
  );
});

test('what is left below a former directory is found, on whichever page it is', async t => {
  const have = manyFiles(8000);
  const { index, reader } = manifestOf(have);
  const refused = async (directory: Entry, left: (below: Entry) => boolean): Promise<void> => {
    const flattened = forge(have, { do: 'flatten', at: have.indexOf(directory) });
    const want = flattened.filter(entry => !isBelow(entry.path, directory.path) || left(entry));
    const found = await refusal(() => differenceOf(reader, manifestOf(want).reader, {}));
    t.regex(found ?? '', /is not a directory, but has entries below it/);
  };
  const directories = have.filter(({ type, path }) => type === 'directory' && path.length > 0);
  for (const directory of directories.slice(0, 3)) await refused(directory, () => true);
  let divided = 0;
  for (const { first } of index.pages) {
    const directory = directories.find(({ path }) => isBelow(first, path));
    if (directory === undefined) continue;
    await refused(directory, ({ path }) => comparePaths(path, first) >= 0);
    divided++;
  }
  t.true(divided > 5);
});
