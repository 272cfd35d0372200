import test from 'ava';
import fc from 'fast-check';
import type { Entry } from '../../src/image/entry.js';
import { sha512 } from '../../src/image/digest.js';
import { comparePaths } from '../../src/image/path.js';
import { decodeIndex } from '../../src/image/manifest.js';
import type { WantedTree } from '../../src/volume/overlay-tree.js';
import { overlayTree } from '../../src/volume/overlay-tree.js';
import { manifestOf } from '../model/memory-manifest.js';
import { entriesOf, treePlan } from '../model/tree.js';

const metadata = { mode: 0o644, uid: 0, gid: 0, mtime: 0n, flags: 0, xattrs: [] };

function file(name: string): Entry {
  const content = { size: 3n, holes: [], digest: sha512(Buffer.from('new')), names: [] };
  return { type: 'file', path: Buffer.from(name), ...metadata, ...content };
}

function treeOf(entries: readonly Entry[]): WantedTree {
  const { reader } = manifestOf(entries);
  return { manifest: reader, indexBytes: Buffer.alloc(0), digest: Buffer.alloc(0) };
}

async function entriesIn({ manifest }: WantedTree): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of manifest.entries()) entries.push(entry);
  return entries;
}

const sorted = (entries: readonly Entry[]): Entry[] =>
  [...entries].sort((a, b) => comparePaths(a.path, b.path));

test('a tree has what it had and what was laid over it, and its index says so', async t => {
  const names = fc.uniqueArray(fc.constantFrom('0', 'a0', 'b0', 'c.y', 'zz'), { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(treePlan, names, async (plan, added) => {
      const before = entriesOf(plan);
      const over = sorted(added.map(file));
      const after = await overlayTree(treeOf(before), over);
      // Reading all of it checks that it is a tree, and that the index counts it right.
      t.deepEqual(await entriesIn(after), sorted([...before, ...over]));
      if (over.length > 0) {
        t.deepEqual(decodeIndex(after.indexBytes), after.manifest.index);
        t.true(sha512(after.indexBytes).equals(after.digest));
      }
    }),
    { numRuns: 200 },
  );
});

test('an entry takes the place of another, and pages that it is not in stay as they are', async t => {
  const root: Entry = { type: 'directory', path: Buffer.alloc(0), ...metadata };
  const many = Array.from({ length: 5000 }, (_, at) => file(`n${String(at).padStart(5, '0')}`));
  const tree = treeOf([root, ...many]);
  const replaced = { ...file('n02500'), mode: 0o600 } as Entry;
  const after = await overlayTree(tree, [replaced]);
  const changed = after.manifest.index.pages.filter(
    ({ digest }, at) => !digest.equals(tree.manifest.index.pages[at]!.digest),
  );
  t.true(tree.manifest.index.pages.length > 2);
  t.is(changed.length, 1);
  t.is(after.manifest.index.entries, many.length + 1);
  t.deepEqual((await entriesIn(after))[2501], replaced);
});
