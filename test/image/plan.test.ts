import test from 'ava';
import fc from 'fast-check';
import type { Entry } from '../../src/image/entry.js';
import { moveDirectories } from '../../src/image/directory-moves.js';
import type { Rewrites } from '../../src/image/inode-match.js';
import { matchInodes } from '../../src/image/inode-match.js';
import { planChanges } from '../../src/image/plan.js';
import { ModelFileSystem } from '../model/file-system.js';
import type { TreePlan } from '../model/tree.js';
import { differenceBetween, entriesOf, treePlan } from '../model/tree.js';

const staging = Buffer.from('.staging');

function planBetween(have: readonly Entry[], want: readonly Entry[], stageFrom: number, rewrites: Rewrites) {
  const moved = moveDirectories(differenceBetween(have, want));
  return planChanges(moved, matchInodes(moved.changes, new Map()), { staging, stageFrom, rewrites });
}

const options = fc.record({
  stageFrom: fc.constantFrom(0, 3, 1000),
  rewrites: fc
    .tuple(
      fc.constantFrom([], ['a', 'b', 'a/a', 'b/c'], ['a/b/c', 'd', 'c/a']),
      fc.constantFrom('rewritten' as const, 'replaced' as const),
    )
    .map(([paths, how]) => new Map(paths.map(path => [path, how]))),
});

test('carrying out the plan turns one tree into the other', t => {
  fc.assert(
    fc.property(treePlan, treePlan, options, (a, b, { stageFrom, rewrites }) => {
      const have = entriesOf(a);
      const want = entriesOf(b);
      const volume = new ModelFileSystem(have);
      volume.run(planBetween(have, want, stageFrom, rewrites).operations);
      t.deepEqual(volume.entries(), want);
    }),
    { numRuns: 2000 },
  );
});

test('there is nothing to do between a tree and itself', t => {
  fc.assert(
    fc.property(treePlan, tree => {
      const entries = entriesOf(tree);
      t.deepEqual(planBetween(entries, entries, 3, new Map()), { operations: [], touched: [] });
    }),
    { numRuns: 200 },
  );
});

test('trees that differ little are turned into each other too', t => {
  fc.assert(
    fc.property(treePlan, fc.nat(7), treePlan, options, (tree, changed, donor, { stageFrom, rewrites }) => {
      const have = entriesOf(tree);
      const inodes = tree.inodes.map((inode, at) => (at === changed ? donor.inodes[at]! : inode));
      const want = entriesOf({ ...tree, inodes });
      const volume = new ModelFileSystem(have);
      const plan = planBetween(have, want, stageFrom, rewrites);
      volume.run(plan.operations);
      t.deepEqual(volume.entries(), want);
    }),
    { numRuns: 1000 },
  );
});

/** A tree with one of its directories under another name, if it has any. */
function renamed(tree: TreePlan, to: string): TreePlan {
  let done = false;
  const children = tree.directory.children
    .filter(([name]) => name !== to)
    .map(([name, child]): (typeof tree.directory.children)[number] => {
      if (done || typeof child === 'number') return [name, child];
      done = true;
      return [to, child];
    });
  return { ...tree, directory: { children } };
}

test('trees of which a directory has got another name are turned into each other', t => {
  let moves = 0;
  fc.assert(
    fc.property(treePlan, fc.nat(7), treePlan, options, (tree, changed, donor, { stageFrom, rewrites }) => {
      const have = entriesOf(tree);
      const inodes = tree.inodes.map((inode, at) => (at === changed ? donor.inodes[at]! : inode));
      const want = entriesOf({ ...renamed({ ...tree, inodes }, 'z') });
      const volume = new ModelFileSystem(have);
      const plan = planBetween(have, want, stageFrom, rewrites);
      if (plan.operations[0]?.do === 'rename') moves++;
      volume.run(plan.operations);
      t.deepEqual(volume.entries(), want);
    }),
    { numRuns: 1000 },
  );
  t.true(moves > 10, `${String(moves)} moves`);
});
