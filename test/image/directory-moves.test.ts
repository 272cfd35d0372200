import test from 'ava';
import type { MovedDifference } from '../../src/image/directory-moves.js';
import { moveDirectories, pathBefore } from '../../src/image/directory-moves.js';
import type { DirectoryEntry, Entry, FileEntry } from '../../src/image/entry.js';
import { INODE_FLAGS } from '../../src/image/entry.js';
import { sha512 } from '../../src/image/digest.js';
import { comparePaths } from '../../src/image/path.js';
import { differenceBetween } from '../model/tree.js';

const metadata = { mode: 0o755, uid: 0, gid: 0, mtime: 5n, flags: 0, xattrs: [] };

function directory(path: string, more: Partial<DirectoryEntry> = {}): DirectoryEntry {
  return { type: 'directory', path: Buffer.from(path), ...metadata, ...more };
}

function file(path: string, text: string, names: string[] = []): FileEntry {
  const content = { size: BigInt(text.length), holes: [], digest: sha512(Buffer.from(text)) };
  return {
    type: 'file',
    path: Buffer.from(path),
    ...metadata,
    ...content,
    names: names.map(name => Buffer.from(name)),
  };
}

function link(path: string, target: string): Entry {
  return { type: 'link', path: Buffer.from(path), target: Buffer.from(target) };
}

/** What differs of two trees, once directories have been moved. */
function differenceOf(have: Entry[], want: Entry[]): MovedDifference {
  const sorted = (entries: Entry[]): Entry[] =>
    [directory(''), ...entries].sort((a, b) => comparePaths(a.path, b.path));
  return moveDirectories(differenceBetween(sorted(have), sorted(want)));
}

/** What is moved, what is left to change and what was carried along, as text. */
function moved(have: Entry[], want: Entry[]): { moves: string[]; left: string[]; carried: string[] } {
  const difference = differenceOf(have, want);
  return {
    moves: difference.moves.map(({ from, to }) => `${from.toString()} > ${to.toString()}`),
    left: difference.changes.map(({ path }) => path.toString()),
    carried: difference.carried.map(path => path.toString()),
  };
}

test('a directory under another name is moved, and nothing in it is touched', t => {
  const tree = (name: string): Entry[] => [
    directory('lib'),
    directory(`lib/${name}`),
    directory(`lib/${name}/sub`),
    file(`lib/${name}/sub/a`, 'a'),
    file(`lib/${name}/b`, 'b'),
  ];
  t.deepEqual(moved(tree('1.0'), tree('1.1')), {
    moves: ['lib/1.0 > lib/1.1'],
    left: [],
    carried: ['lib/1.1', 'lib/1.1/b', 'lib/1.1/sub', 'lib/1.1/sub/a'],
  });
});

test('what is new in a directory that has moved is what is left to do', t => {
  const have = [directory('1'), file('1/a', 'a'), file('1/b', 'b'), file('1/gone', 'c')];
  const want = [directory('2'), file('2/a', 'a'), file('2/b', 'B'), file('2/new', 'd')];
  t.deepEqual(moved(have, want), {
    moves: ['1 > 2'],
    left: ['2/b', '2/gone', '2/new'],
    carried: ['2', '2/a'],
  });
});

test('what takes the place of a directory that has moved is left to make', t => {
  const have = [directory('vim'), file('vim/a', 'a')];
  const want = [file('vim', 'v'), directory('vim-moved'), file('vim-moved/a', 'a')];
  t.deepEqual(moved(have, want), {
    moves: ['vim > vim-moved'],
    left: ['vim'],
    carried: ['vim-moved', 'vim-moved/a'],
  });
});

test('a directory goes where most of its files are wanted, and only to one place', t => {
  const have = [directory('a'), file('a/1', '1'), file('a/2', '2'), file('a/3', '3')];
  const want = [directory('b'), file('b/1', '1'), directory('c'), file('c/2', '2'), file('c/3', '3')];
  t.deepEqual(moved(have, want).moves, ['a > c']);
});

test('hard links into a directory that moves are the same inodes after it', t => {
  const have = [directory('m'), file('m/a', 'a', ['x']), file('m/b', 'b'), link('x', 'm/a')];
  const want = [directory('n'), file('n/a', 'a', ['x']), file('n/b', 'b'), link('x', 'n/a')];
  t.deepEqual(moved(have, want), { moves: ['m > n'], left: [], carried: ['n', 'n/a', 'n/b'] });
});

test('a directory is not moved to where its new parent is not, nor out of one that is immutable', t => {
  const have = [directory('a'), file('a/1', '1')];
  t.deepEqual(moved(have, [directory('new'), directory('new/b'), file('new/b/1', '1')]).moves, []);
  const flags = INODE_FLAGS.immutable;
  t.deepEqual(
    moved([directory('a', { flags }), file('a/1', '1')], [directory('b'), file('b/1', '1')]).moves,
    [],
  );
});

test('a directory that is empty before or after it moves with another is known on both sides', t => {
  const full = (name: string): Entry[] => [file(`${name}/sub/y`, 'y')];
  const tree = (name: string, inSub: Entry[]): Entry[] => [
    directory(name),
    file(`${name}/a`, 'a'),
    directory(`${name}/sub`),
    ...inSub,
  ];
  for (const [have, want] of [
    [tree('m', full('m')), tree('n', [])],
    [tree('m', []), tree('n', full('n'))],
  ] as const) {
    const { directories, moves } = differenceOf(have, want);
    t.is(moves.length, 1);
    t.deepEqual(directories.get('n/sub'), { have: directory('n/sub'), want: directory('n/sub') });
  }
});

test('a path is known by where it was before', t => {
  const moves = [{ from: Buffer.from('a'), to: Buffer.from('x/b') }];
  t.is(pathBefore(moves, Buffer.from('x/b/c')).toString(), 'a/c');
  t.is(pathBefore(moves, Buffer.from('x/b')).toString(), 'a');
  t.is(pathBefore(moves, Buffer.from('x/bc')).toString(), 'x/bc');
});
