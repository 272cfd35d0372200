import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { END, pax, withData } from '../../source/tar/archive.js';
import { prepare } from './prepare.js';
import { json } from './run.js';

interface Failure {
  error: { code: string; message: string };
}

/** What a command fails with as JSON, with that limit. */
async function refusedBy(store: string, limits: string, ...parameters: string[]) {
  return ((await json(store, 1, ...parameters, '--limits', limits)) as Failure).error;
}

test('what goes over a limit is refused with its name, be it built or read', async t => {
  const { directory, store, source } = prepare(t);
  writeFileSync(join(source, 'x'.repeat(60)), '');
  execFileSync('setfattr', ['-n', 'user.a', '-v', 'v'.repeat(500), join(source, 'b')]);
  const tar = join(directory, 'x.tar');
  const attributes = ['--format=posix', '--xattrs'];
  execFileSync('tar', [...attributes, '-cf', tar, '-C', source, '.']);
  await json(store, 0, 'build', 's/1', '--from', source);
  await json(store, 0, 'build', 's/0', '--from', tar, '--filter', '/dev/null');
  const out = join(directory, 'out');
  for (const [limits, message] of [
    ['entries=5', /has more than 5 entries; .* --limits entries=/],
    ['name-bytes=59', /\/x{60} has a name of more than 59 bytes; .* --limits name-bytes=/],
    ['xattr-bytes=499', /\/b has the extended attribute user\.a, of more than 499 bytes; .* xattr-bytes=/],
  ] as const) {
    for (const parameters of [
      ['build', 's/2', '--from', source, '--mtimes-from', 'none'],
      ['build', 's/2', '--from', tar, '--mtimes-from', 'none'],
      ['verify', 's/1'],
      ['diff', 's/1', 's/1'],
      ['show', 's/1'],
      ['extract', 's/1', out],
    ]) {
      // Equal pages are not even looked at.
      if (parameters[0] === 'diff' && limits !== 'entries=5') continue;
      const error = await refusedBy(store, limits, ...parameters);
      t.is(error.code, 'LIMIT_EXCEEDED', `${parameters.join(' ')}: ${error.message}`);
      t.regex(error.message, message);
    }
  }
  t.false(existsSync(out));
  t.deepEqual(((await json(store, 0, 'list')) as object[]).length, 2);
  t.like(await json(store, 0, 'verify', 's/1', '--limits', 'entries=6,name-bytes=60,xattr-bytes=500'), {
    ok: true,
  });
});

test('a decompression bomb is stopped', async t => {
  const { directory, store } = prepare(t);
  const bomb = join(directory, 'bomb');
  execFileSync('truncate', ['-s', '200M', bomb]);
  const tar = join(directory, 'bomb.tar');
  execFileSync('tar', ['-cf', tar, '-C', directory, 'bomb']);
  const sparse = join(directory, 'sparse.tar');
  writeFileSync(sparse, sparseBomb());
  for (const [program, end] of [
    ['gzip', 'gz'],
    ['xz', 'xz'],
    ['zstd', 'zst'],
  ] as const) {
    execFileSync(program, ['-kqf', tar]);
    const error = await refusedBy(store, 'source-bytes=10MiB', 'build', 's/1', '--from', `${tar}.${end}`);
    t.is(error.code, 'LIMIT_EXCEEDED', end);
  }
  const error = await refusedBy(store, 'source-bytes=1MiB', 'build', 's/1', '--from', sparse);
  t.regex(error.message, /\/f and the files before it have more than 1048576 bytes/);
  // There was nothing to be stored, so there is no store.
  t.false(existsSync(store));
});

/** A file of 300 bytes, each in a block of its own: 300 blocks of data. */
function sparseBomb(): Buffer {
  const count = 300;
  const map = Array.from({ length: count }, (_, at) => `${String(at * 8192)},1`).join();
  const records: [string, string][] = [
    ['GNU.sparse.major', '0'],
    ['GNU.sparse.minor', '1'],
    ['GNU.sparse.name', 'f'],
    ['GNU.sparse.size', String(count * 8192)],
    ['GNU.sparse.numblocks', String(count)],
    ['GNU.sparse.map', map],
  ];
  return Buffer.concat([pax(records), withData({ name: 'f' }, 'x'.repeat(count)), END]);
}
