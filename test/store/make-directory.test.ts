import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { makeDirectory } from '../../src/store/make-directory.js';
import { temporaryDirectory } from '../temporary-directory.js';

test('a directory is made with those above it, by many at once and again', async t => {
  const path = join(temporaryDirectory(t), 'a/b/c');
  await Promise.all(Array.from({ length: 8 }, () => makeDirectory(path, 0o700)));
  await makeDirectory(path);
  t.is(statSync(join(path, '..')).mode & 0o777, 0o700);
});

test('why a directory cannot be made is told, and at once', async t => {
  const directory = temporaryDirectory(t);
  const file = join(directory, 'file');
  writeFileSync(file, '');
  await t.throwsAsync(makeDirectory(file), { code: 'EEXIST' });
  await t.throwsAsync(makeDirectory(join(file, 'below')), { code: 'ENOTDIR' });
  // It has no directories but its own, and says of others that they are not there.
  await t.throwsAsync(makeDirectory('/proc/none/below'), { message: /^(ENOENT|EACCES|EPERM)/ });
  t.false(existsSync('/proc/none'));
});
