import test from 'ava';
import { normalisePath } from '../../../src/source/tar/path.js';

const normal = (name: string) =>
  normalisePath({ archive: 'test.tar' }, 'name', Buffer.from(name, 'latin1')).toString('latin1');

test('what means nothing in a name goes', t => {
  const names: [string, string][] = [
    ['a', 'a'],
    ['a/b', 'a/b'],
    ['./a/b', 'a/b'],
    ['././a', 'a'],
    ['.//a', 'a'],
    ['a//b', 'a/b'],
    ['a/./b', 'a/b'],
    ['a/b/', 'a/b'],
    ['a/b/.', 'a/b'],
    ['a///', 'a'],
    ['.', ''],
    ['./', ''],
    ['./.', ''],
    ['...', '...'],
    ['.a/..b', '.a/..b'],
    ['caf\xe9/\n\\', 'caf\xe9/\n\\'],
  ];
  for (const [name, path] of names) t.is(normal(name), path, name);
});

test('what could lead out of the tree, or no file system holds, is refused', t => {
  for (const name of [
    '/',
    '/a',
    '//a',
    '..',
    '../a',
    'a/..',
    'a/../b',
    './../a',
    'a\0b',
    'x'.repeat(256),
    'x/'.repeat(40000),
  ]) {
    t.throws(() => normal(name), { code: 'SOURCE_UNSUPPORTED' }, name.slice(0, 20));
  }
  t.throws(() => normal(''), { code: 'SOURCE_DAMAGED' });
});

test('a path is a copy, which does not keep the archive in memory', t => {
  const chunk = Buffer.from('a/b');
  const path = normalisePath({ archive: 'test.tar' }, 'name', chunk);
  chunk.fill('x');
  t.is(path.toString(), 'a/b');
});
