import test from 'ava';
import fc from 'fast-check';
import { moveDirectories } from '../../src/image/directory-moves.js';
import { matchInodes } from '../../src/image/inode-match.js';
import { newContent } from '../../src/image/new-content.js';
import { differenceBetween, entriesOf, treePlan } from '../model/tree.js';

test('what is sure to be made anew is made anew, however inodes are moved and matched', t => {
  let some = 0;
  fc.assert(
    fc.property(treePlan, treePlan, (a, b) => {
      const difference = differenceBetween(entriesOf(a), entriesOf(b));
      const moved = moveDirectories(difference);
      const made = new Set(matchInodes(moved.changes, new Map()).unmatched);
      const sure = newContent(difference.changes);
      some += sure.length;
      for (const file of sure) t.true(made.has(file));
    }),
    { numRuns: 500 },
  );
  t.true(some > 0);
});
