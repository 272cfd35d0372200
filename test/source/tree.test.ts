import { execFileSync, spawnSync } from 'node:child_process';
import {
  createReadStream,
  createWriteStream,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import test from 'ava';
import fc from 'fast-check';
import { pack } from 'tar-stream';
import { sha512 } from '../../src/image/digest.js';
import type { Entry } from '../../src/image/entry.js';
import { parseFilter } from '../../src/image/filter.js';
import { TreeValidator } from '../../src/image/validate.js';
import type { SourceEntry } from '../../src/source/source.js';
import { tarSource } from '../../src/source/tar/source.js';
import type { TreeOptions } from '../../src/source/tree.js';
import { readTree } from '../../src/source/tree.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { MemorySink, treeOptions } from './memory-sink.js';

const common = { mode: 0o644, uid: 1, gid: 2, mtime: 3n, flags: 0, xattrs: [] };
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

async function* chunksOf(text: string): AsyncGenerator<Buffer, void, undefined> {
  for (const character of text) yield Promise.resolve(bytes(character));
}
function file(path: string, text = '', more: object = {}): SourceEntry {
  const content = { kind: 'stream' as const, chunks: chunksOf(text) };
  return {
    ...common,
    type: 'file',
    path: bytes(path),
    size: BigInt(text.length),
    holes: [],
    content,
    ...more,
  };
}
function directory(path: string, more: object = {}): SourceEntry {
  return { ...common, type: 'directory', path: bytes(path), mode: 0o700, ...more };
}
function symlink(path: string, target = 'x', more: object = {}): SourceEntry {
  return { ...common, type: 'symlink', path: bytes(path), target: bytes(target), ...more };
}
function link(path: string, target: string): SourceEntry {
  return { type: 'link', path: bytes(path), target: bytes(target) };
}

async function read(entries: SourceEntry[], options: TreeOptions = treeOptions(), sink = new MemorySink()) {
  async function* source(): AsyncGenerator<SourceEntry, void, undefined> {
    for (const entry of entries) yield Promise.resolve(entry);
  }
  return readTree({ entries: source }, sink, options);
}

/** The tree in short: each path with its type, and what its content or target is. */
async function shape(entries: SourceEntry[], options?: TreeOptions): Promise<string[]> {
  const sink = new MemorySink();
  const tree = await read(entries, options, sink);
  const all = [...tree.entries()];
  checkTree(all);
  if (JSON.stringify([...tree.entries()], replacer) !== JSON.stringify(all, replacer))
    throw new Error('not the same twice');
  return all.map(entry => describe(entry, sink));
}

const replacer = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);

function checkTree(entries: Entry[]): void {
  const validator = new TreeValidator();
  for (const entry of entries) validator.add(entry);
}

function describe(entry: Entry, sink: MemorySink): string {
  const path = `/${entry.path.toString('latin1')}`;
  if (entry.type === 'file')
    return `${path} file ${entry.digest ? String(sink.objects.get(entry.digest.toString('hex'))) : ''}`;
  if (entry.type === 'symlink' || entry.type === 'link')
    return `${path} ${entry.type} ${entry.target.toString('latin1')}`;
  return `${path} ${entry.type}`;
}

test('entries in any order come out sorted', async t => {
  t.deepEqual(
    await shape([file('b'), file('a-b'), directory('a'), file('a/z'), symlink('\xff'), file('a/b', 'x')]),
    ['/ directory', '/a directory', '/a/b file x', '/a/z file ', '/a-b file ', '/b file ', '/\xff symlink x'],
  );
});

test('missing parents are made, and the root, as plain directories of root', async t => {
  const [root, a, b] = [...(await read([file('a/b/c')])).entries()];
  for (const entry of [root, a, b]) {
    t.like(entry, { type: 'directory', mode: 0o755, uid: 0, gid: 0, mtime: 0n, flags: 0, xattrs: [] });
  }
});

test('a directory that comes later gives its metadata and keeps what it holds', async t => {
  const [root, a, b] = [
    ...(await read([file('a/b', 'x'), directory('a'), directory('', { mode: 0o1777 })])).entries(),
  ];
  t.like(root, { mode: 0o1777, uid: 1 });
  t.like(a, { mode: 0o700, uid: 1, mtime: 3n });
  t.like(b, { type: 'file', digest: sha512(bytes('x')) });
});

test('a later entry replaces an earlier one', async t => {
  t.deepEqual(await shape([file('a', 'one'), file('a', 'two')]), ['/ directory', '/a file two']);
  t.deepEqual(await shape([file('a', 'one'), symlink('a')]), ['/ directory', '/a symlink x']);
  t.deepEqual(await shape([file('a', 'one'), directory('a'), file('a/b')]), [
    '/ directory',
    '/a directory',
    '/a/b file ',
  ]);
  t.deepEqual(await shape([directory('a'), file('a', 'two')]), ['/ directory', '/a file two']);
});

test('a hard link is one more name of the inode that its target is then', async t => {
  t.deepEqual(await shape([file('b', 'one'), link('a', 'b'), file('b', 'two')]), [
    '/ directory',
    '/a file one',
    '/b file two',
  ]);
  t.deepEqual(await shape([file('c', 'one'), link('b', 'c'), link('a', 'b')]), [
    '/ directory',
    '/a file one',
    '/b link a',
    '/c link a',
  ]);
  t.deepEqual(await shape([symlink('s'), link('t', 's')]), ['/ directory', '/s symlink x', '/t link s']);
  t.deepEqual(await shape([file('a', 'x'), link('a', 'a')]), ['/ directory', '/a file x']);
  t.deepEqual(await shape([file('a', 'x'), file('b', 'y'), link('b', 'a'), link('c', 'b')]), [
    '/ directory',
    '/a file x',
    '/b link a',
    '/c link a',
  ]);
});

const refused: [string, RegExp, () => SourceEntry[]][] = [
  [
    'a file in the place of a directory that is not empty',
    /^\/a would replace/,
    () => [file('a/b'), file('a')],
  ],
  [
    'a link in the place of such a directory',
    /^\/a would replace/,
    () => [file('a/b'), file('f'), link('a', 'f')],
  ],
  ['a path through a file', /^\/a\/b lies below \/a,/, () => [file('a'), file('a/b')]],
  [
    'a path through a symbolic link',
    /^\/a\/b\/c lies below \/a,/,
    () => [symlink('a', '/etc'), file('a/b/c')],
  ],
  [
    'a link to what comes later',
    /^\/a is a hard link to \/b, which is not there/,
    () => [link('a', 'b'), file('b')],
  ],
  [
    'a link through a symbolic link',
    /is not there/,
    () => [file('d/f'), symlink('s', 'd'), link('a', 's/f')],
  ],
  ['a link to a directory', /which is a directory/, () => [directory('d'), link('a', 'd')]],
  ['a link to the root', /which is a directory/, () => [link('a', '')]],
  ['a root that is a file', /is the root/, () => [file('')]],
  ['a root that is a link', /is the root/, () => [file('a'), link('', 'a')]],
  ['a path that leads out', /"\.\."/, () => [file('a/../../b')]],
  [
    'an attribute of another namespace',
    /^\/a has the extended attribute system\.nfs4_acl;/,
    () => [file('a', '', { xattrs: [{ name: bytes('system.nfs4_acl'), value: bytes('x') }] })],
  ],
  [
    'an attribute that is only a namespace',
    /user\./,
    () => [file('a', '', { xattrs: [{ name: bytes('user.'), value: bytes('') }] })],
  ],
  [
    'an attribute larger than Linux holds',
    /larger than Linux/,
    () => [file('a', '', { xattrs: [{ name: bytes('user.a'), value: Buffer.alloc(65_537) }] })],
  ],
  [
    'an attribute that is there twice',
    /twice/,
    () => [file('a', '', { xattrs: [1, 2].map(() => ({ name: bytes('user.a'), value: bytes('x') })) })],
  ],
  [
    'an access control list that is none',
    /^\/a cannot be kept/,
    () => [file('a', '', { xattrs: [{ name: bytes('system.posix_acl_access'), value: bytes('x') }] })],
  ],
  [
    "a user's attribute on a symbolic link",
    /^\/a has the extended attribute user\.a, which/,
    () => [symlink('a', 'b', { xattrs: [{ name: bytes('user.a'), value: bytes('x') }] })],
  ],
  [
    'capabilities that are none',
    /^\/a has the extended attribute security\.capability, whose/,
    () => [file('a', '', { xattrs: [{ name: bytes('security.capability'), value: bytes('x') }] })],
  ],
  [
    'a flag of directories on a file',
    /^\/a has the inode flag dirsync/,
    () => [file('a', '', { flags: 0x10000 })],
  ],
  ['a flag on a symbolic link', /^\/a has inode flags/, () => [symlink('a', 'b', { flags: 0x10 })]],
  ['a symbolic link to nothing', /target/, () => [symlink('a', '')]],
  ['a symbolic link that is too long', /target/, () => [symlink('a', 'x'.repeat(4096))]],
  ['lost+found that holds something', /^\/lost\+found is not empty/, () => [file('lost+found/x'), file('a')]],
  ['lost+found that is a file', /^\/lost\+found is not a directory/, () => [file('lost+found'), file('a')]],
];

for (const [what, message, entries] of refused) {
  test(`refused: ${what}`, async t => {
    await t.throwsAsync(read(entries()), { code: 'SOURCE_UNSUPPORTED', message });
  });
}

test('a file with other data than its size says is damaged', async t => {
  const damaged = { code: 'SOURCE_DAMAGED', message: /^\/a / };
  await t.throwsAsync(read([file('a', 'x', { size: 2n })]), damaged);
  await t.throwsAsync(read([file('a', 'x', { size: 0n })]), damaged);
});

test('an empty lost+found is left out, which is said; below other directories it is a directory', async t => {
  const options = treeOptions();
  t.deepEqual(await shape([directory('lost+found'), directory('a/lost+found')], options), [
    '/ directory',
    '/a directory',
    '/a/lost+found directory',
  ]);
  t.regex(options.warnings.join('\n'), /^\/lost\+found is left out[^\n]*$/);
});

test('nothing but a root is empty', async t => {
  const empty = { code: 'SOURCE_EMPTY' };
  await t.throwsAsync(read([directory('')]), empty);
  await t.throwsAsync(read([directory('lost+found')]), empty);
  await t.throwsAsync(read([file('a')], treeOptions({ filter: parseFilter(bytes('/a'), 'f') })), empty);
});

test('a filter leaves out paths, not the inodes of other names', async t => {
  const filter = parseFilter(bytes('/a$\n/d\n/lost'), 'f');
  const entries = [
    file('a', 'x'),
    link('b', 'a'),
    link('c', 'a'),
    file('d/e'),
    link('f', 'd/e'),
    file('lost+found'),
  ];
  t.deepEqual(await shape(entries, treeOptions({ filter })), [
    '/ directory',
    '/b file x',
    '/c link b',
    '/f file ',
  ]);
});

test('new data is counted once', async t => {
  const tree = await read([file('a', 'one'), file('b', 'one'), file('c', 'three'), file('d')]);
  t.like(tree, { newObjects: 2, newBytes: 8 });
});

test('flags that are no content, and lists that say no more than the mode, are left out', async t => {
  const minimal = Buffer.from(
    '02000000' + '01000700ffffffff' + '04000500ffffffff' + '20000000ffffffff',
    'hex',
  );
  const more = { flags: 0x80010, xattrs: [{ name: bytes('system.posix_acl_access'), value: minimal }] };
  const [, a] = [...(await read([file('a', '', more)])).entries()];
  t.like(a, { flags: 0x10, mode: 0o750, xattrs: [] });
});

/** Entries that meet in every way, for an archive. */
const step = fc.record({
  type: fc.constantFrom('file', 'directory', 'symlink', 'link'),
  path: fc.constantFrom('a', 'b', 'c', 'a/b', 'a/c', 'b/a', 'a/b/c'),
  target: fc.constantFrom('a', 'b', 'c', 'a/b', 'a/c'),
  text: fc.constantFrom('one', 'two'),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function writeArchive(path: string, steps: readonly Step[]): Promise<void> {
  const archive = pack();
  for (const { type, path: name, target, text } of steps) {
    const header = { name, mtime: new Date(1000), mode: type === 'directory' ? 0o755 : 0o644 };
    if (type === 'file') archive.entry(header, text);
    else if (type === 'directory') archive.entry({ ...header, type });
    else archive.entry({ ...header, type: type, linkname: target });
  }
  archive.finalize();
  await pipeline(archive, createWriteStream(path));
}

/** What GNU tar made, in the words of `describe`; a further name is told by the first. */
function walk(root: string): string[] {
  const first = new Map<number, string>();
  const lines: string[] = [];
  const visit = (path: string): void => {
    const at = join(root, path);
    const found = lstatSync(at);
    const known = first.get(found.ino);
    if (found.isDirectory()) {
      lines.push(`/${path} directory`);
      for (const name of readdirSync(at).sort()) visit(path === '' ? name : `${path}/${name}`);
    } else if (known !== undefined) lines.push(`/${path} link ${known}`);
    else if (found.isFile()) lines.push(`/${path} file ${readFileSync(at, 'utf8')}`);
    else lines.push(`/${path} symlink ${readlinkSync(at)}`);
    if (!found.isDirectory()) first.set(found.ino, known ?? path);
  };
  visit('');
  return lines;
}

test('archives become what GNU tar extracts, or are refused', async t => {
  const directoryOfAll = temporaryDirectory(t);
  let number = 0;
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async steps => {
      const at = join(directoryOfAll, String(number++));
      mkdirSync(join(at, 'out'), { recursive: true });
      const archive = join(at, 'archive.tar');
      await writeArchive(archive, steps);
      const { status } = spawnSync('tar', ['-x', '-f', archive, '-C', join(at, 'out')], { stdio: 'ignore' });
      const sink = new MemorySink();
      const source = tarSource(() => createReadStream(archive), archive);
      const tree = await readTree(source, sink, treeOptions()).catch(
        (error: unknown) => error as { code: string },
      );
      if ('code' in tree) {
        t.is(tree.code, 'SOURCE_UNSUPPORTED');
        return;
      }
      accepted++;
      t.is(status, 0);
      t.deepEqual(
        [...tree.entries()].map(entry => describe(entry, sink)),
        walk(join(at, 'out')),
      );
    }),
    { numRuns: 150 },
  );
  t.true(accepted > 10, String(accepted));
  execFileSync('rm', ['-rf', directoryOfAll]);
});
