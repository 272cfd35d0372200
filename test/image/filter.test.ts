import test from 'ava';
import { parseFilter, selectPaths } from '../../src/image/filter.js';

/** The paths that are kept of a tree, which is given in its order. */
function kept(filter: string, paths: string[]): string[] {
  const all = ['', ...paths];
  const flags = selectPaths(
    parseFilter(Buffer.from(filter, 'latin1'), 'f'),
    all.map(path => Buffer.from(path, 'latin1')),
  );
  if (flags.length !== all.length) throw new Error('a path was not decided on');
  return all.filter((_, at) => flags[at]);
}

const tree = [
  'etc',
  'etc/hosts',
  'etc/ssh',
  'etc/ssh/key',
  'etc/ssh/key.pub',
  'etcetera',
  'var',
  'var/log',
  'var/log/x',
];

test('what matches from the start is left out, with all below it', t => {
  t.deepEqual(kept('/etc/ssh$\n', tree), ['', 'etc', 'etc/hosts', 'etcetera', 'var', 'var/log', 'var/log/x']);
  t.deepEqual(kept('/etc', tree), ['', 'var', 'var/log', 'var/log/x']);
  t.deepEqual(kept('ssh', tree), ['', ...tree]);
  t.deepEqual(kept('.*\\.pub\n/var/log/.', tree), ['', ...tree.filter(path => !/pub|x$/.test(path))]);
});

test('after "!" what matches is kept, with the directories above it', t => {
  t.deepEqual(kept('!\n/etc/ssh/key$\n', tree), ['', 'etc', 'etc/ssh', 'etc/ssh/key']);
  t.deepEqual(kept('!\n/var/log$', tree), ['', 'var', 'var/log', 'var/log/x']);
  t.deepEqual(kept('!\n', tree), ['']);
});

test('the root is always kept', t => {
  t.deepEqual(kept('/', tree), ['']);
  t.deepEqual(kept('/$', tree), ['', ...tree]);
});

test('comments and blank lines mean nothing, nor does the end of line of other systems', t => {
  t.deepEqual(kept('# /etc\n\n   \n/var\r\n', tree), ['', ...tree.filter(path => !path.startsWith('var'))]);
  t.deepEqual(kept('', tree), ['', ...tree]);
});

test('paths and expressions are bytes', t => {
  const paths = ['a\xff', 'a\xffb', 'b\n'];
  t.deepEqual(kept('/a\xff$', paths), ['', 'a\xffb', 'b\n']);
  t.deepEqual(kept('/a.$', paths), ['', 'a\xffb', 'b\n']);
  t.deepEqual(kept('/b.$', paths), ['', 'a\xff', 'a\xffb']);
});

test('an alternative is matched from the start too', t => {
  t.deepEqual(kept('/var|hosts', tree), ['', ...tree.filter(path => !path.startsWith('var'))]);
});

test('a line that is no expression is named', t => {
  const fault = { code: 'CONFIGURATION', message: /^f, line 3: .*\)/ };
  t.throws(() => parseFilter(Buffer.from('/a\n\n/b)(?:c\n'), 'f'), fault);
});
