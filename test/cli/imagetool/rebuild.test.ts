import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { sha512 } from '../../../src/image/digest.js';
import { temporaryDirectory } from '../../temporary-directory.js';
import { imagetoolOn, json } from './run.js';

/* A second build of a directory does not read what is as it was. */

interface Built {
  digest: string;
  newObjects: number;
  skippedFiles: number;
  skippedBytes: number;
}

const CONTENTS = { one: '1', two: '22', three: '333' };

async function prepare(t: ExecutionContext) {
  const directory = temporaryDirectory(t);
  const source = join(directory, 'source');
  mkdirSync(source);
  for (const [name, content] of Object.entries(CONTENTS)) writeFileSync(join(source, name), content);
  writeFileSync(join(source, 'empty'), '');
  await settle(source);
  const store = join(directory, 'store');
  let number = 0;
  const build = (from = source, ...more: string[]): Promise<Built> => {
    const words = ['build', `s/${String(++number)}`, '--from', from, '--mtimes-from', 'none', ...more];
    return json(store, 0, ...words) as Promise<Built>;
  };
  return { directory, source, store, build };
}

/** Waits until the files of a directory were last changed so long ago that a build may know them. */
async function settle(directory: string): Promise<void> {
  const last = Math.max(...readdirSync(directory).map(name => statSync(join(directory, name)).ctimeMs));
  while (Date.now() <= last + 101) await setTimeout(10);
}

test('a second build reads what has changed', async t => {
  const { source, build } = await prepare(t);
  const first = await build();
  t.like(first, { newObjects: 3, skippedFiles: 0, skippedBytes: 0 });
  t.like(await build(), { newObjects: 0, skippedFiles: 3, skippedBytes: 6, digest: first.digest });
  writeFileSync(join(source, 'two'), '2222');
  writeFileSync(join(source, 'four'), '4444');
  const changed = await build();
  t.like(changed, { newObjects: 2, skippedFiles: 2, skippedBytes: 4 });
  t.like(await build(source, '--verify', 'full'), {
    newObjects: 0,
    skippedFiles: 0,
    digest: changed.digest,
  });
});

test('people are told how much was not read', async t => {
  const { source, store, build } = await prepare(t);
  await build();
  const { out } = await imagetoolOn(store, 'build', 's/again', '--from', source);
  t.regex(out, /\nNot read, being as before: 3 files of 6 B\n/);
});

test('a file that was changed in place and given its old mtime is read', async t => {
  const { source, build } = await prepare(t);
  await build();
  const { atime, mtime } = statSync(join(source, 'three'));
  writeFileSync(join(source, 'three'), 'xyz');
  utimesSync(join(source, 'three'), atime, mtime);
  t.like(await build(), { newObjects: 1, skippedFiles: 2 });
});

test('a file that was replaced by another one is read, under any name', async t => {
  const { source, build } = await prepare(t);
  await build();
  execFileSync('cp', ['--archive', join(source, 'three'), join(source, 'new')]);
  renameSync(join(source, 'new'), join(source, 'three'));
  t.like(await build(), { newObjects: 0, skippedFiles: 2 });
});

test('a copy of the directory is another one; so is one that takes its place', async t => {
  const { directory, source, build } = await prepare(t);
  const { digest } = await build();
  const copy = join(directory, 'copy');
  execFileSync('cp', ['--archive', source, copy]);
  t.like(await build(copy), { newObjects: 0, skippedFiles: 0, digest });
  renameSync(source, join(directory, 'old'));
  renameSync(copy, source);
  t.like(await build(join(directory, 'old')), { skippedFiles: 3, digest });
});

test('what the store no longer has is read again', async t => {
  const { store, build } = await prepare(t);
  const { digest } = await build();
  const [gone, short] = [CONTENTS.one, CONTENTS.three].map(content => {
    const hex = sha512(Buffer.from(content)).toString('hex');
    return join(store, 'objects/sha512', hex.slice(0, 2), hex);
  }) as [string, string];
  rmSync(gone);
  chmodSync(short, 0o644);
  truncateSync(short, 1);
  t.like(await build(), { newObjects: 2, skippedFiles: 1, skippedBytes: 2, digest });
  t.is(readFileSync(gone, 'utf8'), CONTENTS.one);
  t.is(readFileSync(short, 'utf8'), CONTENTS.three);
});

test('damage of what is known costs only time', async t => {
  const { store, build } = await prepare(t);
  const { digest } = await build();
  const [name] = readdirSync(join(store, 'sources'));
  const path = join(store, 'sources', name!);
  const whole = readFileSync(path);
  for (const damage of [
    () => truncateSync(path, 0),
    () => truncateSync(path, whole.length - 1),
    () =>
      writeFileSync(
        path,
        whole.map((byte, at) => (at === 100 ? byte ^ 1 : byte)),
      ),
    () => rmSync(path),
  ]) {
    damage();
    t.like(await build(), { newObjects: 0, skippedFiles: 0, digest });
    t.like(await build(), { newObjects: 0, skippedFiles: 3, digest });
  }
});

test('where nothing can be kept the image is made, and a warning says so', async t => {
  const { source, store, build } = await prepare(t);
  await build();
  rmSync(join(store, 'sources'), { recursive: true });
  writeFileSync(join(store, 'sources'), '');
  const { code, err } = await imagetoolOn(store, 'build', 's/again', '--from', source, '--log-level', 'warn');
  t.is(code, 0);
  t.regex(err, /what is known of a source/);
});

test('of the sources that were built from long ago nothing is kept', async t => {
  const { store, build } = await prepare(t);
  await build();
  const sources = join(store, 'sources');
  for (let number = 0; number < 70; number++) {
    writeFileSync(join(sources, `0-${String(number)}`), '');
    utimesSync(join(sources, `0-${String(number)}`), 0, number);
  }
  await build();
  const names = readdirSync(sources);
  t.is(names.length, 64);
  t.true(names.includes('0-69') && !names.includes('0-6'));
  t.like(await build(), { skippedFiles: 3 });
});
