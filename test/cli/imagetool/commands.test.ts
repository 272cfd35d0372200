import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { sha512 } from '../../../src/image/digest.js';
import { prepare } from './prepare.js';
import { imagetoolOn, json } from './run.js';

test('build says what it made', async t => {
  const { store, source } = prepare(t);
  const built = (await json(store, 0, 'build', 's/1', '--from', source)) as Record<string, unknown>;
  t.deepEqual(Object.keys(built), [
    'name',
    'digest',
    'entries',
    'bytes',
    'newObjects',
    'newBytes',
    'skippedFiles',
    'skippedBytes',
    'seconds',
  ]);
  t.like(built, { name: 's/1', entries: 5, bytes: 8, newObjects: 2, newBytes: 8 });
  t.regex(String(built['digest']), /^[0-9a-f]{128}$/);
  t.like(await json(store, 0, 'build', 's/2', '--from', source), {
    newObjects: 0,
    newBytes: 0,
    digest: built['digest'],
  });
  const { out } = await imagetoolOn(store, 'build', 's/3', '--from', source);
  t.regex(
    out,
    /^Built s\/3 in .*\n5 entries, 8 B; 0 new objects of 0 B\n(Not read, .*\n)?Digest [0-9a-f]{128}\n$/,
  );
});

test('a directory and every kind of archive of it are the same image', async t => {
  const { directory, store, source } = prepare(t);
  const { digest } = (await json(store, 0, 'build', 's/dir', '--from', source)) as { digest: string };
  const tar = join(directory, 'x.tar');
  execFileSync('tar', ['--format=posix', '-cf', tar, '-C', source, '.']);
  for (const [program, end] of [
    ['gzip', 'gz'],
    ['xz', 'xz'],
    ['zstd', 'zst'],
  ] as const) {
    execFileSync(program, ['-kq', tar]);
    t.like(await json(store, 0, 'build', `s/${end}`, '--from', `${tar}.${end}`, '--mtimes-from', 'none'), {
      digest,
    });
  }
  t.like(await json(store, 0, 'build', 's/tar', '--from', tar, '--mtimes-from', 'none'), {
    digest,
    newObjects: 0,
  });
});

test('list, latest and show tell of images', async t => {
  const { directory, store, source } = prepare(t);
  const note = join(directory, 'note');
  writeFileSync(note, 'a note');
  const more = ['--tag', 'A=b=c', '--tag', 'empty=', '--expires-in', '30d', '--annotation', `note=${note}`];
  await json(store, 0, 'build', 's/1', '--from', source, ...more);
  await json(store, 0, 'build', 's/t/0', '--from', source);
  await json(store, 0, 'build', 's/2', '--from', source);
  const rows = (await json(store, 0, 'list')) as Record<string, unknown>[];
  t.deepEqual(
    rows.map(({ name }) => name),
    ['s/1', 's/t/0', 's/2'],
  );
  t.deepEqual(Object.keys(rows[0]!), [
    'name',
    'digest',
    'createdAt',
    'expiresAt',
    'entries',
    'bytes',
    'tags',
  ]);
  t.like(rows[0], { entries: 5, bytes: 8, tags: { A: 'b=c', empty: '' } });
  const age = Date.parse(String(rows[0]!['expiresAt'])) - Date.parse(String(rows[0]!['createdAt']));
  t.is(age, 30 * 86_400_000);
  t.is(rows[1]!['expiresAt'], null);
  t.deepEqual(
    ((await json(store, 0, 'list', 's')) as { name: string }[]).map(({ name }) => name),
    ['s/1', 's/2'],
  );
  t.deepEqual(await json(store, 0, 'latest', 's'), rows[2]);
  t.is((await imagetoolOn(store, 'latest', 's')).out, 's/2\n');
  const shown = await json(store, 0, 'show', 's/1', '--entries');
  t.like(shown, { ...rows[0], annotations: { note: sha512(Buffer.from('a note')).toString('hex') } });
  t.like(shown, { objects: 2, objectBytes: 8, types: { directory: 2, file: 2, link: 1 } });
  t.like((shown as { list: unknown[] }).list[2], {
    path: '/a/one',
    type: 'file',
    size: 3,
    names: ['/a/two'],
  });
  const text = await imagetoolOn(store, 'show', 's/1', '--entries');
  t.regex(text.out, /^Name: +s\/1\n/);
  t.regex(text.out, /\nTag: +A=b=c\n[^]*\nlink \/a\/two -> \/a\/one\n/);
  t.regex((await imagetoolOn(store, 'list')).out, /^NAME +CREATED[^\n]*\ns\/1 [^]*\ns\/2 [^\n]*\n$/);
});

test('diff tells what differs and ends well', async t => {
  const { store, source } = prepare(t);
  await json(store, 0, 'build', 's/1', '--from', source);
  writeFileSync(join(source, 'b'), 'THREE!');
  chmodSync(join(source, 'a'), 0o700);
  writeFileSync(join(source, 'c'), 'one');
  rmSync(join(source, 'a/two'));
  await json(store, 0, 'build', 's/2', '--from', source);
  const { changed, ...rest } = (await json(store, 0, 'diff', 's/1', 's/2')) as {
    changed: { path: string; what: string[] }[];
  };
  t.deepEqual(rest, {
    from: 's/1',
    to: 's/2',
    added: ['/c'],
    removed: ['/a/two'],
    newBytes: 6,
    packages: null,
  } as object);
  const what = Object.fromEntries(changed.map(each => [each.path, each.what]));
  t.deepEqual(Object.keys(what), ['/', '/a', '/a/one', '/b']);
  t.deepEqual(what['/b'], ['mtime', 'size', 'content']);
  t.deepEqual(what['/a/one'], ['links']);
  t.true(what['/a']!.includes('mode'));
  const { out } = await imagetoolOn(store, 'diff', 's/1', 's/2');
  t.regex(
    out,
    /\n- \/a\/two\n {2}\/b: mtime, size, content\n\+ \/c\n1 added, 1 removed, 4 changed, 6 B of new data\n$/,
  );
});

test('unchanged content keeps its times, unless it is told otherwise', async t => {
  const { store, source } = prepare(t);
  const build = async (name: string, ...more: string[]): Promise<unknown> =>
    ((await json(store, 0, 'build', name, '--from', source, ...more)) as { digest: string }).digest;
  const first = await build('s/1');
  for (const path of ['', 'a', 'a/one', 'b']) utimesSync(join(source, path), 1, 1);
  t.is(await build('s/2'), first);
  const other = await build('s/3', '--mtimes-from', 'none');
  t.not(other, first);
  t.is(await build('t/1'), other);
  t.is(await build('t/2', '--mtimes-from', 's/1'), first);
});

test('a filter leaves out what it names', async t => {
  const { directory, store, source } = prepare(t);
  const filter = join(directory, 'filter');
  writeFileSync(filter, '# comment\n/a/.*o$\n');
  t.like(await json(store, 0, 'build', 's/1', '--from', source, '--filter', filter), { entries: 4 });
  writeFileSync(filter, '!\n/b\n');
  t.like(await json(store, 0, 'build', 's/2', '--from', source, '--filter', filter), { entries: 2 });
});

test('delete and gc make room', async t => {
  const { store, source } = prepare(t);
  await json(store, 0, 'build', 's/1', '--from', source);
  await json(store, 0, 'build', 's/2', '--from', source);
  t.deepEqual(await json(store, 0, 'delete', 's/1'), { name: 's/1' });
  t.like(await json(store, 0, 'gc'), { removedObjects: 0, keptObjects: 4 });
  await json(store, 0, 'delete', 's/2');
  t.like(await json(store, 0, 'gc', '--dry-run'), { dryRun: true, removedObjects: 4 });
  t.like(await json(store, 0, 'gc'), { dryRun: false, images: 0, removedObjects: 4, keptObjects: 0 });
  t.deepEqual(await json(store, 0, 'list'), []);
  t.is((await imagetoolOn(store, 'list')).out, 'There are no images\n');
});

interface Failure {
  error: { code: string; message: string };
}

const fails = async (store: string, code: number, ...parameters: string[]): Promise<Failure['error']> =>
  ((await json(store, code, ...parameters)) as Failure).error;

test('a bad source is told of, and there is no image and no store after it', async t => {
  const { directory, store, source } = prepare(t);
  const path = (name: string, content?: string | Buffer): string => {
    if (content !== undefined) writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  mkdirSync(path('hollow'));
  execFileSync('tar', ['-cf', path('good.tar'), '-C', source, '.']);
  for (const from of ['', 'oci:', 'docker-archive:'])
    t.is((await fails(store, 2, 'build', 's/1', '--from', from)).code, 'USAGE', from);
  for (const [from, code] of [
    [path('none'), 'SOURCE_MISSING'],
    [path('hollow'), 'SOURCE_EMPTY'],
    [path('empty', ''), 'SOURCE_EMPTY'],
    [path('zeros', Buffer.alloc(10_240)), 'SOURCE_EMPTY'],
    [path('text', 'x'.repeat(5000)), 'SOURCE_DAMAGED'],
    [path('short', readFileSync(path('good.tar')).subarray(0, 700)), 'SOURCE_DAMAGED'],
    ['/dev/full/x', 'SOURCE_MISSING'],
    ['oci:dir', 'SOURCE_MISSING'],
    ['docker-archive:file', 'SOURCE_MISSING'],
  ] as const) {
    const error = await fails(store, 1, 'build', 's/1', '--from', from);
    t.is(error.code, code, from);
    t.false(existsSync(store), from);
  }
  const cut = path('cut', readFileSync(path('good.tar')).subarray(0, -10_000));
  t.is((await fails(store, 1, 'build', 's/1', '--from', cut)).code, 'SOURCE_DAMAGED');
  t.deepEqual(existsSync(store) ? await json(store, 0, 'list') : [], []);
});

test('a wrong call is told of before anything is done', async t => {
  const { directory, store, source } = prepare(t);
  const from = ['--from', source];
  const filter = join(directory, 'filter');
  writeFileSync(filter, '/ok\n(\n');
  const calls: [string, RegExp, string[]][] = [
    ['IMAGE_NAME', /"\.\."/, ['build', '../x/y', ...from]],
    ['IMAGE_NAME', /empty part/, ['build', 'x//y', ...from]],
    ['IMAGE_NAME', /slash/, ['build', '/x/y', ...from]],
    ['IMAGE_NAME', /stream/, ['build', 'x', ...from]],
    ['USAGE', /twice/, ['build', 's/1', ...from, '--tag', 'a=1', '--tag', 'a=2']],
    ['USAGE', /KEY=VALUE/, ['build', 's/1', ...from, '--tag', 'a']],
    ['USAGE', /tag/, ['build', 's/1', ...from, '--tag', `a=${'x'.repeat(300)}`]],
    ['USAGE', /duration/, ['build', 's/1', ...from, '--expires-in', '3 days']],
    ['USAGE', /--annotation.*none/, ['build', 's/1', ...from, '--annotation', 'a=none']],
    ['USAGE', /not a file/, ['build', 's/1', ...from, '--annotation', `a=${source}`]],
    ['USAGE', /--filter.*none/, ['build', 's/1', ...from, '--filter', 'none']],
    ['CONFIGURATION', /filter, line 2/, ['build', 's/1', ...from, '--filter', filter]],
    ['IMAGE_NAME', /stream/, ['build', 's/1', ...from, '--mtimes-from', 'nothing']],
    ['USAGE', /--from/, ['build', 's/1']],
    ['USAGE', /--form.*--from/, ['build', 's/1', '--form', source]],
    ['USAGE', /lies in the source/, ['build', 's/1', ...from, '--store', join(source, 'deep/store')]],
    ['USAGE', /lies in the source/, ['build', 's/1', ...from, '--store', source]],
  ];
  for (const [code, message, parameters] of calls) {
    const error = await fails(store, 2, ...parameters);
    t.is(error.code, code, parameters.join(' '));
    t.regex(error.message, message);
  }
  t.is((await fails(store, 1, 'build', 's/1', ...from, '--mtimes-from', 's/0')).code, 'IMAGE_UNKNOWN');
  t.false(existsSync(store));
  t.deepEqual(readdirSync(source).sort(), ['a', 'b']);
});

test('a name that is taken is told of before the source is looked at', async t => {
  const { store, source } = prepare(t);
  await json(store, 0, 'build', 's/1', '--from', source);
  const error = await fails(store, 1, 'build', 's/1', '--from', join(source, 'none'));
  t.is(error.code, 'IMAGE_EXISTS');
  t.regex(error.message, /s\/1 exists already/);
});

test('an unknown image or stream is an error that names the nearest', async t => {
  const { store, source } = prepare(t);
  await json(store, 0, 'build', 'base/debian/2026-01', '--from', source);
  for (const call of [['show'], ['verify'], ['delete'], ['diff', 'base/debian/2026-01']]) {
    const error = await fails(store, 1, ...call, 'base/debian/2026-02');
    t.is(error.code, 'IMAGE_UNKNOWN');
    t.regex(error.message, /base\/debian\/2026-01\?/);
  }
  t.regex((await fails(store, 1, 'latest', 'base/debain')).message, /base\/debian\?/);
  t.is((await fails(store, 2, 'list', '../x')).code, 'IMAGE_NAME');
});

test('where there is no store, or none that is known here, it is said', async t => {
  const { directory, store, source } = prepare(t);
  for (const call of [
    ['list'],
    ['latest', 's'],
    ['show', 's/1'],
    ['verify', 's/1'],
    ['delete', 's/1'],
    ['gc'],
  ]) {
    t.is((await fails(store, 1, ...call)).code, 'STORE_MISSING');
    const server = await fails(store, 1, ...call, '--server', `unix:${directory}/none`);
    t.is(server.code, call[0] === 'gc' ? 'UNSUPPORTED' : 'TIMEOUT');
    t.is((await fails(store, 1, ...call, '--store', 'gs://bucket/x')).code, 'UNSUPPORTED');
    const { code, out } = await imagetoolOn(undefined, ...call, '--json');
    t.is(code, 2);
    t.like(JSON.parse(out), { error: { code: 'USAGE' } });
  }
  cpSync(source, store, { recursive: true });
  t.is((await fails(store, 1, 'build', 's/1', '--from', source)).code, 'STORE_MISSING');
  t.deepEqual(readdirSync(store).sort(), ['a', 'b']);
  t.is((await fails(join(directory, 'source/b'), 1, 'list')).code, 'STORE_MISSING');
});
