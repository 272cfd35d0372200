import { execFileSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { imagetoolOn, json } from '../cli/imagetool/run.js';
import type { HeaderFields } from '../source/tar/archive.js';
import { END, header, pax, withData } from '../source/tar/archive.js';
import { attach, run } from './ext4-fixture.js';
import { VolumeFixture } from './volume-fixture.js';

/*
 * What is known of attacks on programs that extract archives (CVE-2001-1267 and all that came after it). Each
 * archive is refused with the name of an entry, or becomes a tree in which it can do no harm: that is then extracted
 * and applied. What lies outside stays as it is.
 */

/** What an attack would like to reach. */
interface Outside {
  directory: string;
  /** A block device, by its number. */
  major: number;
  minor: number;
}

interface Attack {
  what: string;
  archive: (outside: Outside) => Buffer[];
  /** What is said of it; left out of what is harmless. */
  refused?: RegExp;
  /** What the harmless tree is, by path. */
  tree?: Record<string, string>;
}

const file = (name: string, more: HeaderFields = {}): Buffer => withData({ name, ...more }, 'evil');
const symlink = (name: string, link: string): Buffer => header({ name, type: '2', link });
const hardLink = (name: string, link: string): Buffer => header({ name, type: '1', link });
const directory = (name: string): Buffer => header({ name, type: '5', mode: '0000755\0' });
const octal = (value: number): string => `${value.toString(8).padStart(7, '0')}\0`;
const block = (name: string, { major, minor }: Outside): Buffer =>
  header({ name, type: '4', major: octal(major), minor: octal(minor) });

const attacks: Attack[] = [
  { what: 'an absolute path', archive: at => [file(`${at.directory}/canary`)], refused: /canary.* absolute/ },
  { what: 'many slashes at the start', archive: () => [file('////tmp/evil')], refused: /evil.* absolute/ },
  { what: 'two dots at the start', archive: () => [file('../evil')], refused: /\.\.\/evil.* "\.\."/ },
  { what: 'two dots within', archive: () => [file('a/../../evil')], refused: /"\.\."/ },
  { what: 'two dots at the end', archive: () => [file('a/..')], refused: /"\.\."/ },
  {
    what: 'two dots in a pax path',
    archive: () => [pax([['path', '../evil']]), file('good')],
    refused: /"\.\."/,
  },
  {
    what: 'two dots in a long name of GNU',
    archive: () => [withData({ name: 'x', type: 'L', magic: 'ustar  ' }, '../evil\0'), file('good')],
    refused: /"\.\."/,
  },
  {
    what: 'two dots in a ustar prefix',
    archive: () => [file('evil', { prefix: '../..' })],
    refused: /"\.\."/,
  },
  {
    what: 'two dots in the name of a sparse file',
    archive: () => [
      pax([
        ['GNU.sparse.major', '0'],
        ['GNU.sparse.minor', '1'],
        ['GNU.sparse.name', '../evil'],
        ['GNU.sparse.size', '4'],
        ['GNU.sparse.numblocks', '1'],
        ['GNU.sparse.map', '0,4'],
      ]),
      file('good'),
    ],
    refused: /"\.\."/,
  },
  {
    what: 'a symbolic link, and a file through it',
    archive: at => [symlink('x', at.directory), file('x/canary')],
    refused: /\/x\/canary lies below \/x, which is not a directory/,
  },
  {
    what: 'a symbolic link upwards, and a file through it',
    archive: () => [symlink('x', '..'), file('x/evil')],
    refused: /\/x\/evil lies below \/x/,
  },
  {
    what: 'a directory that becomes a symbolic link, and a file through it',
    archive: at => [directory('x'), symlink('x', at.directory), file('x/canary')],
    refused: /\/x\/canary lies below \/x/,
  },
  {
    what: 'a symbolic link, a directory of its name, and a file in that',
    archive: at => [symlink('x', at.directory), directory('x'), file('x/canary')],
    tree: { x: 'directory', 'x/canary': 'evil' },
  },
  {
    what: 'a symbolic link, and a file of its name',
    archive: at => [symlink('x', `${at.directory}/canary`), file('x')],
    tree: { x: 'evil' },
  },
  {
    what: 'a chain of symbolic links, and a file through it',
    archive: () => [directory('a'), symlink('a/b', '..'), symlink('c', 'a/b/..'), file('c/evil')],
    refused: /\/c\/evil lies below \/c/,
  },
  {
    what: 'a hard link to outside',
    archive: at => [hardLink('x', `${at.directory}/canary`), file('x')],
    refused: /\/x .*absolute/,
  },
  {
    what: 'a hard link upwards',
    archive: () => [hardLink('x', '../canary')],
    refused: /\/x .*hard link target has "\.\."/,
  },
  {
    what: 'a hard link through a symbolic link',
    archive: at => [symlink('s', at.directory), hardLink('x', 's/canary')],
    refused: /\/x is a hard link to \/s\/canary, which is not there/,
  },
  {
    what: 'a hard link to a symbolic link, and data for it',
    archive: at => [symlink('s', `${at.directory}/canary`), hardLink('x', 's'), file('x')],
    tree: { x: 'evil', s: 'symlink' },
  },
  {
    what: 'a hard link with data to a symbolic link',
    archive: at => [
      symlink('s', `${at.directory}/canary`),
      withData({ name: 'x', type: '1', link: 's' }, 'evil'),
    ],
    refused: /\/x .*says it has 4 bytes of data/,
  },
  {
    what: "a device node of the machine's, and data for it",
    archive: at => [block('disk', at), file('disk')],
    tree: { disk: 'evil' },
  },
  { what: "a device node of the machine's", archive: at => [block('disk', at)], tree: { disk: 'block' } },
  {
    what: 'a device node, and a hard link to it with data',
    archive: at => [block('disk', at), hardLink('x', 'disk'), file('x')],
    tree: { disk: 'block', x: 'evil' },
  },
  {
    what: 'a name with a NUL',
    archive: () => [pax([['path', 'good\0/../evil']]), file('x')],
    refused: /NUL/,
  },
  {
    what: 'an archive in the data of a file whose two sizes differ',
    // Who goes by the header reads what the file holds as entries (CVE-2025-62518).
    archive: () => {
      const smuggled = Buffer.concat([file('smuggled'), END]);
      return [pax([['size', String(smuggled.length)]]), header({ name: 'x', size: 0 }), smuggled];
    },
    tree: { x: Buffer.concat([file('smuggled'), END]).toString('latin1') },
  },
  { what: 'a backslash', archive: () => [file('..\\evil')], tree: { '..\\evil': 'evil' } },
  {
    what: 'names that another file system takes for one',
    archive: at => [symlink('CAF\u00c9', at.directory), directory('caf\u00e9'), file('caf\u00e9/canary')],
    tree: { 'CAF\xc9': 'symlink', 'caf\xe9': 'directory', 'caf\xe9/canary': 'evil' },
  },
  {
    what: 'a root that is a symbolic link',
    archive: at => [symlink('./', at.directory), file('canary')],
    refused: /root of the tree is no directory/,
  },
];

/** A tree in a directory, by path as Latin-1: what a file holds, else what it is. */
function treeOf(root: string): Record<string, string> {
  const shown: Record<string, string> = {};
  const visit = (at: Buffer, prefix: string): void => {
    for (const name of readdirSync(at, 'buffer')) {
      const path = Buffer.concat([at, Buffer.from('/'), name]);
      const key = prefix + name.toString('latin1');
      if (key === 'lost+found') continue;
      const found = lstatSync(path);
      if (found.isFile()) shown[key] = readFileSync(path, 'latin1');
      else shown[key] = found.isDirectory() ? 'directory' : found.isSymbolicLink() ? 'symlink' : 'block';
      if (found.isDirectory()) visit(path, `${key}/`);
    }
  };
  visit(Buffer.from(root), '');
  return shown;
}

/** A directory and a device outside of everything, and what says that they are as they were. */
function makeOutside(t: ExecutionContext, base: string): Outside & { state: () => string } {
  const outside = join(base, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'canary'), 'alive');
  const image = join(base, 'disk');
  writeFileSync(image, 'untouched');
  truncateSync(image, 1 << 20);
  const { rdev } = statSync(attach(t, image));
  const state = (): string => {
    const { ino, mode, nlink, mtimeMs, ctimeMs } = statSync(join(outside, 'canary'));
    const canary = readFileSync(join(outside, 'canary'), 'utf8');
    const device = readFileSync(image).toString('base64');
    return [readdirSync(outside).join(), canary, ino, mode, nlink, mtimeMs, ctimeMs, device].join(' ');
  };
  return { directory: outside, major: rdev >> 8, minor: rdev & 0xff, state };
}

test('an attack in an archive is refused with a name, or harmless', async t => {
  const volume = await VolumeFixture.make(t);
  const base = volume.directory;
  const outside = makeOutside(t, base);
  const before = outside.state();
  const store = volume.store.location;
  for (const [number, { what, archive, refused, tree }] of attacks.entries()) {
    const name = `attack/tar/${String(number)}`;
    const tar = join(base, 'attack.tar');
    writeFileSync(tar, Buffer.concat([...archive(outside), END]));
    const built = await imagetoolOn(store, 'build', name, '--from', tar, '--mtimes-from', 'none');
    t.is(built.code, refused === undefined ? 0 : 1, `${what}: ${built.err}`);
    if (refused !== undefined) {
      t.regex(built.err, refused, what);
      continue;
    }
    const out = join(base, `out-${String(number)}`);
    await json(store, 0, 'extract', name, out);
    t.deepEqual(treeOf(out), tree, what);
    await volume.apply(name);
    await volume.mounted('ro,noload', root => t.deepEqual(treeOf(root), tree, what));
  }
  t.is(outside.state(), before);
  t.false(existsSync(join(base, 'evil')));
  t.false(existsSync('/tmp/evil'));
});

test('what a directory leads to outside of itself does not come in', async t => {
  const volume = await VolumeFixture.make(t);
  const outside = makeOutside(t, volume.directory);
  const source = join(volume.directory, 'source');
  mkdirSync(source);
  symlinkSync(outside.directory, join(source, 'directory'));
  symlinkSync(join(outside.directory, 'canary'), join(source, 'file'));
  linkSync(join(outside.directory, 'canary'), join(source, 'linked'));
  symlinkSync('loop', join(source, 'loop'));
  run('mkfifo', join(source, 'fifo'));
  execFileSync('mknod', [join(source, 'disk'), 'b', String(outside.major), String(outside.minor)]);
  const before = outside.state();
  const store = volume.store.location;
  await json(store, 0, 'build', 'attack/directory/1', '--from', source);
  const { list } = (await json(store, 0, 'show', 'attack/directory/1', '--entries')) as {
    list: { path: string; type: string; names?: string[] }[];
  };
  t.deepEqual(
    list.map(({ path, type, names }) => [path, type, names]),
    [
      ['/', 'directory', undefined],
      ['/directory', 'symlink', undefined],
      ['/disk', 'block', undefined],
      ['/fifo', 'fifo', undefined],
      ['/file', 'symlink', undefined],
      ['/linked', 'file', undefined],
      ['/loop', 'symlink', undefined],
    ],
  );
  await volume.apply('attack/directory/1');
  t.is(outside.state(), before);
});
