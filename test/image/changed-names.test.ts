import test from 'ava';
import fc from 'fast-check';
import { changedNames } from '../../src/image/changed-names.js';
import { matchInodes } from '../../src/image/inode-match.js';
import { changesBetween, entriesOf, treePlan } from '../model/tree.js';

/** The names of each directory, and the inodes that they stand for: those of the first path. */
function namesOf(entries: ReturnType<typeof entriesOf>): Map<string, Map<string, string>> {
  const names = new Map<string, Map<string, string>>();
  for (const entry of entries) {
    const path = entry.path.toString('latin1');
    if (path === '') continue;
    const at = path.lastIndexOf('/');
    const directory = at < 0 ? '' : path.slice(0, at);
    const inode =
      entry.type === 'directory' ? '/' : entry.type === 'link' ? entry.target.toString('latin1') : path;
    names.set(directory, (names.get(directory) ?? new Map<string, string>()).set(path.slice(at + 1), inode));
  }
  return names;
}

test('where a name appears, goes or is another kind of thing, names have changed', t => {
  fc.assert(
    fc.property(treePlan, treePlan, (a, b) => {
      const [have, want] = [entriesOf(a), entriesOf(b)];
      const changes = changesBetween(have, want);
      const moved = { changes, directories: new Map(), moves: [], carried: [] };
      const changed = changedNames(moved, matchInodes(changes, new Map()), new Set());
      const [before, after] = [namesOf(have), namesOf(want)];
      for (const directory of new Set([...before.keys(), ...after.keys()])) {
        const [x, y] = [before.get(directory), after.get(directory)];
        const names = new Set([...(x?.keys() ?? []), ...(y?.keys() ?? [])]);
        const differ = [...names].some(
          name => x?.has(name) !== y?.has(name) || (x?.get(name) === '/') !== (y?.get(name) === '/'),
        );
        if (differ) t.true(changed.has(directory), directory);
      }
      if (changes.length === 0) t.is(changed.size, 0);
    }),
    { numRuns: 500 },
  );
});

test('a file that stays the inode that it is changes no name', t => {
  const file = (text: string) => ({
    type: 'file' as const,
    path: Buffer.from('d/a'),
    ...{ mode: 0o644, uid: 0, gid: 0, mtime: 0n, flags: 0, xattrs: [], names: [], holes: [] },
    size: 64n,
    digest: Buffer.alloc(64, text),
  });
  const [have, want] = [file('a'), file('b')];
  const changes = [{ path: have.path, have, want }];
  const moved = { changes, directories: new Map(), moves: [], carried: [] };
  const matching = matchInodes(changes, new Map());
  t.deepEqual([...changedNames(moved, matching, new Set()).keys()], ['d']);
  t.deepEqual([...changedNames(moved, matching, new Set([have, want])).keys()], []);
});
