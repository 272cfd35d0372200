import {
  appendFileSync,
  closeSync,
  ftruncateSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { sha512 } from '../../src/image/digest.js';
import type { Entry, FileEntry } from '../../src/image/entry.js';
import { ImageUnpackerError } from '../../src/image/error.js';
import { parseFilter } from '../../src/image/filter.js';
import { TreeValidator } from '../../src/image/validate.js';
import { ingestFiles } from '../../src/native.js';
import { readDirectory } from '../../src/source/directory.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { MemorySink, treeOptions } from './memory-sink.js';

/** A directory in which each of these files holds its own name. */
function makeSource(t: ExecutionContext, ...files: string[]): string {
  const source = join(temporaryDirectory(t), 'source');
  mkdirSync(source);
  for (const name of files) {
    mkdirSync(join(source, name, '..'), { recursive: true });
    writeFileSync(join(source, name), name);
  }
  return source;
}

async function read(source: string, options = treeOptions()): Promise<Map<string, Entry>> {
  const entries = [...(await readDirectory(source, new MemorySink(), options)).entries()];
  const validator = new TreeValidator();
  for (const entry of entries) validator.add(entry);
  return new Map(entries.map(entry => [entry.path.toString('latin1'), entry]));
}

test('all that a tree holds comes in, in the order of its paths', async t => {
  const source = makeSource(t, 'b', 'a/z', 'a-b', 'a/b');
  symlinkSync('nowhere', join(source, 'link'));
  writeFileSync(Buffer.concat([Buffer.from(`${source}/`), Buffer.from([0xff])]), '');
  const entries = await read(source);
  t.deepEqual([...entries.keys()], ['', 'a', 'a/b', 'a/z', 'a-b', 'b', 'link', '\xff']);
  t.like(entries.get('a/z'), {
    type: 'file',
    size: 3n,
    holes: [],
    digest: sha512(Buffer.from('a/z')),
    names: [],
  });
  t.like(entries.get('link'), { type: 'symlink', target: Buffer.from('nowhere'), flags: 0 });
  t.like(entries.get('\xff'), { type: 'file', size: 0n, digest: null });
});

test('modes and times are exact', async t => {
  const source = makeSource(t, 'a', 'b');
  symlinkSync('x', join(source, 'l'));
  utimesSync(join(source, 'a'), 0, new Date(-1500));
  utimesSync(join(source, 'b'), 0, 4_000_000_000);
  lutimesSync(join(source, 'l'), 0, 7);
  const entries = await read(source);
  t.like(entries.get('a'), { mtime: -1_500_000_000n, mode: 0o644 });
  t.like(entries.get('b'), { mtime: 4_000_000_000_000_000_000n });
  t.like(entries.get('l'), { mtime: 7_000_000_000n, mode: 0o777 });
});

test('hard links are the names of one inode; names elsewhere do not count', async t => {
  const source = makeSource(t, 'b/one', 'outside');
  linkSync(join(source, 'b/one'), join(source, 'c'));
  linkSync(join(source, 'b/one'), join(source, 'a'));
  linkSync(join(source, 'outside'), join(source, '..', 'elsewhere'));
  const entries = await read(source);
  t.like(entries.get('a'), { type: 'file', names: [Buffer.from('b/one'), Buffer.from('c')] });
  t.deepEqual(entries.get('c'), { type: 'link', path: Buffer.from('c'), target: Buffer.from('a') });
  t.like(entries.get('b/one'), { type: 'link' });
  t.like(entries.get('outside'), { type: 'file', names: [] });
});

test('a socket comes in', async t => {
  const source = makeSource(t, 'a');
  const server = createServer().listen(join(source, 's'));
  t.teardown(() => server.close());
  await new Promise(resolve => server.once('listening', resolve));
  t.like((await read(source)).get('s'), { type: 'socket', names: [] });
});

test('holes come in, written zeros are data, and a hole of 3 TiB takes no time', async t => {
  const source = makeSource(t);
  const file = openSync(join(source, 'sparse'), 'w');
  writeSync(file, 'begin', 0);
  writeSync(file, Buffer.alloc(4096), 0, 4096, 8192);
  writeSync(file, 'end', 3 * 2 ** 40 - 3);
  closeSync(file);
  truncateSync(makeFile(source, 'hole'), 10_000);
  // To read the hole would take an hour.
  const entries = await read(source);
  const data = Buffer.concat([
    Buffer.from('begin'),
    Buffer.alloc(4091),
    Buffer.alloc(4096),
    Buffer.alloc(4093),
    Buffer.from('end'),
  ]);
  const blocks = 3n << 28n;
  t.like(entries.get('sparse'), {
    size: 3n << 40n,
    holes: [
      { start: 1n, count: 1n },
      { start: 3n, count: blocks - 4n },
    ],
    digest: sha512(data),
  });
  t.like(entries.get('hole'), { size: 10_000n, holes: [{ start: 0n, count: 3n }], digest: null });
});

function makeFile(source: string, name: string): string {
  writeFileSync(join(source, name), '');
  return join(source, name);
}

test('more files than fit in one batch', async t => {
  const source = makeSource(t);
  for (let number = 0; number < 9000; number++)
    writeFileSync(join(source, `f${String(number)}`), String(number % 5000));
  const entries = await read(source);
  t.is(entries.size, 9001);
  for (const number of [0, 4095, 4096, 8999]) {
    const { digest } = entries.get(`f${String(number)}`) as FileEntry;
    t.deepEqual(digest, sha512(Buffer.from(String(number % 5000))));
  }
});

test('a symbolic link to a directory is that directory, a symbolic link in it is not', async t => {
  const source = makeSource(t, 'd/a');
  symlinkSync('d', join(source, 'e'));
  t.deepEqual([...(await read(join(source, 'e'))).keys()], ['', 'a']);
  t.like((await read(source)).get('e'), { type: 'symlink' });
});

test('what is missing, no directory or empty is refused', async t => {
  const source = makeSource(t);
  await t.throwsAsync(read(join(source, 'none')), { code: 'SOURCE_MISSING', message: /none/ });
  await t.throwsAsync(read(source), { code: 'SOURCE_EMPTY' });
  mkdirSync(join(source, 'lost+found'));
  await t.throwsAsync(read(source), { code: 'SOURCE_EMPTY' });
});

test('lost+found is left out when it is empty, and refused when it is not', async t => {
  const source = makeSource(t, 'a', 'b/lost+found/x');
  mkdirSync(join(source, 'lost+found'));
  const options = treeOptions();
  t.deepEqual([...(await read(source, options)).keys()], ['', 'a', 'b', 'b/lost+found', 'b/lost+found/x']);
  t.is(options.warnings.length, 1);
  writeFileSync(join(source, 'lost+found/x'), '');
  await t.throwsAsync(read(source), { code: 'SOURCE_UNSUPPORTED', message: /^\/lost\+found is not empty/ });
  const filter = parseFilter(Buffer.from('/lost'), 'f');
  t.false((await read(source, treeOptions({ filter }))).has('lost+found'));
});

test('a filter leaves out paths, not the inodes of other names, and does not read what it leaves out', async t => {
  const source = makeSource(t, 'a', 'd/e', 'd/f/g', 'z');
  linkSync(join(source, 'a'), join(source, 'b'));
  const filter = parseFilter(Buffer.from('/a\n/d$'), 'f');
  const sink = new MemorySink();
  sink.onIngest = () => rmSync(join(source, 'd'), { recursive: true });
  const tree = await readDirectory(source, sink, treeOptions({ filter }));
  t.deepEqual(
    [...tree.entries()].map(({ path }) => path.toString()),
    ['', 'b', 'z'],
  );
  t.like([...tree.entries()][1], { type: 'file', names: [], digest: sha512(Buffer.from('a')) });
});

function replace(file: string, make: (file: string) => void): void {
  rmSync(file);
  make(file);
}

const changes: [string, (file: string) => void][] = [
  ['grows', file => appendFileSync(file, 'x')],
  ['shrinks', file => truncateSync(file, 1)],
  ['is touched', file => utimesSync(file, 1, 1)],
  ['is written to', file => writeSync(openSync(file, 'r+'), 'A')],
  ['goes', file => rmSync(file)],
  ['becomes a directory', file => replace(file, mkdirSync)],
  ['becomes a symbolic link', file => replace(file, () => symlinkSync('/etc/passwd', file))],
];

for (const [what, change] of changes) {
  test(`a file that ${what} while it is read is named`, async t => {
    const source = makeSource(t, 'a', 'd/changing');
    const sink = new MemorySink();
    sink.onIngest = () => change(join(source, 'd/changing'));
    const fault = { code: 'SOURCE_CHANGED', message: /^\/d\/changing changed while it was read/ };
    await t.throwsAsync(readDirectory(source, sink, treeOptions()), fault);
  });
}

test('an interruption ends it', async t => {
  const source = makeSource(t, 'a');
  await t.throwsAsync(read(source, treeOptions({ signal: AbortSignal.abort() })), { code: 'CANCELLED' });
});

test('new data is counted once', async t => {
  const source = makeSource(t, 'a');
  for (const name of ['b', 'c']) writeFileSync(join(source, name), 'a');
  const sink = new MemorySink();
  const files = await readDirectory(source, sink, treeOptions());
  // Files of a source that only hashes are never new.
  t.like(files, { newObjects: 0, newBytes: 0 });
  const file = openSync(join(source, 'd'), 'w');
  ftruncateSync(file, 4096);
  closeSync(file);
  sink.ingest = async () => {
    const one = Buffer.concat([Buffer.of(1), sha512(Buffer.from('a'))]);
    return Promise.resolve(Buffer.concat([one, one, one]));
  };
  t.like(await readDirectory(source, sink, treeOptions()), { newObjects: 1, newBytes: 1 });
});

test('of a directory that is read in parts at once all is in its place, and new data is counted once', async t => {
  const source = makeSource(t);
  const texts = Array.from({ length: 9000 }, (_, at) => String(at % 5000));
  for (const [at, text] of texts.entries()) writeFileSync(join(source, String(10_000 + at)), text);
  const sink = new MemorySink();
  let underWay = 0;
  sink.ingest = async (root, files) => {
    const number = ++underWay;
    // The first comes last.
    await new Promise(resolve => setTimeout(resolve, number === 1 ? 300 : 0));
    const answers = await ingestFiles(root, files, undefined, {});
    for (let at = 0; at < answers.length; at += 65) answers[at] = 1;
    return answers;
  };
  const tree = await readDirectory(source, sink, treeOptions());
  t.true(underWay > 1);
  const entries = [...tree.entries()].filter((entry): entry is FileEntry => entry.type === 'file');
  t.deepEqual(
    entries.map(({ digest }) => digest),
    texts.map(text => sha512(Buffer.from(text))),
  );
  const unique = new Set(texts);
  t.like(tree, {
    newObjects: unique.size,
    newBytes: [...unique].reduce((sum, { length }) => sum + length, 0),
  });
});

test('when a part of a directory cannot be read the others are ended, and it is said why', async t => {
  const source = makeSource(t);
  for (let at = 0; at < 9000; at++) writeFileSync(join(source, String(10_000 + at)), 'a');
  const sink = new MemorySink();
  let ended = 0;
  let begun = 0;
  sink.ingest = async (_root, _files, { signal }) => {
    if (++begun === 2) throw new ImageUnpackerError('NO_SPACE', 'It is full');
    await new Promise(resolve => signal!.addEventListener('abort', resolve, { once: true }));
    ended++;
    throw new ImageUnpackerError('CANCELLED', 'Interrupted');
  };
  await t.throwsAsync(readDirectory(source, sink, treeOptions()), { code: 'NO_SPACE' });
  t.is(ended, begun - 1);
});
