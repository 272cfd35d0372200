import test from 'ava';
import { sha512 } from '../../src/image/digest.js';
import type { Entry } from '../../src/image/entry.js';
import { INODE_FLAGS } from '../../src/image/entry.js';
import { comparePaths } from '../../src/image/path.js';
import { diffManifests } from '../../src/store/diff.js';
import { ManifestReader } from '../../src/store/manifest-reader.js';
import { VolumeFixture } from './volume-fixture.js';

/*
 * Everything that a program can see of a tree is seen by `check` and by `imagetool diff` if it differs, and made
 * right by `apply`: one entry for each way in which two can differ.
 */

const metadata = { mode: 0o644, uid: 0, gid: 0, mtime: 5n, flags: 0, xattrs: [] };
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const xattr = (name: string, value: string): { name: Buffer; value: Buffer } => {
  return { name: bytes(name), value: Buffer.from(value, 'hex') };
};

type Make = (path: string, more?: object) => Entry;
const file: Make = (path, more = {}) => {
  const content = { size: 3n, holes: [], digest: sha512(bytes('one')), names: [] };
  return { ...metadata, type: 'file', path: bytes(path), ...content, ...more };
};
const directory: Make = (path, more = {}) => ({
  ...metadata,
  type: 'directory',
  path: bytes(path),
  ...more,
  mode: 0o755,
  ...more,
});
const symlink: Make = (path, more = {}) => {
  return {
    ...metadata,
    type: 'symlink',
    path: bytes(path),
    mode: 0o777,
    names: [],
    target: bytes('x'),
    ...more,
  };
};
const character: Make = (path, more = {}) => ({
  ...metadata,
  type: 'character',
  path: bytes(path),
  names: [],
  major: 1,
  minor: 3,
  ...more,
});
const block: Make = (path, more = {}) => ({
  ...metadata,
  type: 'block',
  path: bytes(path),
  names: [],
  major: 7,
  minor: 3,
  ...more,
});
const fifo: Make = (path, more = {}) => ({
  ...metadata,
  type: 'fifo',
  path: bytes(path),
  names: [],
  ...more,
});
const socket: Make = (path, more = {}) => ({
  ...metadata,
  type: 'socket',
  path: bytes(path),
  names: [],
  ...more,
});

const ACL =
  '02000000' +
  '01000600ffffffff' +
  '02000700e8030000' +
  '04000400ffffffff' +
  '10000700ffffffff' +
  '20000400ffffffff';
const OTHER_ACL = ACL.replace('e8030000', 'e9030000');
const acl = (name: string, hex: string, mode = 0o674): object => ({
  mode,
  xattrs: [xattr(`system.posix_acl_${name}`, hex)],
});
const CAPABILITY = '0100000200040000000000000000000000000000';
const { immutable, append, nodump, noatime, sync, dirsync } = INODE_FLAGS;
const everywhere: [string, Make][] = [
  ['file', file],
  ['directory', directory],
  ['symlink', symlink],
  ['character', character],
  ['block', block],
  ['fifo', fifo],
  ['socket', socket],
];

/** One way to differ: as it is, as it is wanted, and what is said of it. */
interface Way {
  have: (path: string) => Entry;
  want: (path: string) => Entry;
  what: string;
}

function way(make: Make, have: object, want: object, what: string): Way {
  return { have: path => make(path, have), want: path => make(path, want), what };
}

const hole = { size: 8192n, holes: [{ start: 0n, count: 1n }], digest: sha512(Buffer.alloc(4096, 'x')) };
const ways: Way[] = [
  ...everywhere.flatMap(([, make]) => [
    way(make, {}, { uid: 65_536 }, 'owner'),
    way(make, {}, { gid: 4_294_967_294 }, 'owner'),
    way(make, {}, { mtime: 6n }, 'mtime'),
    way(make, {}, { mtime: -1n }, 'mtime'),
    way(make, {}, { mtime: 4_000_000_000_000_000_000n }, 'mtime'),
    way(make, {}, { xattrs: [xattr('trusted.a', '00ff')] }, 'xattr:trusted.a'),
    way(make, { xattrs: [xattr('security.a', '01')] }, {}, 'xattr:security.a'),
    way(
      make,
      { xattrs: [xattr('security.a', '01')] },
      { xattrs: [xattr('security.a', '0100')] },
      'xattr:security.a',
    ),
  ]),
  ...everywhere
    .filter(([name]) => name !== 'symlink')
    .flatMap(([, make]) =>
      [0o645, 0o4644, 0o2644, 0o1644].map(mode => way(make, { mode: 0o644 }, { mode }, 'mode')),
    ),
  ...everywhere.flatMap(([name, make]) =>
    everywhere
      .filter(([other]) => other !== name)
      .map(([, other]): Way => ({ have: make, want: other, what: 'type' })),
  ),
  way(
    file,
    { xattrs: [xattr('security.selinux', '6100')] },
    { xattrs: [xattr('security.selinux', '6200')] },
    'xattr:security.selinux',
  ),
  way(file, {}, { xattrs: [xattr('security.capability', CAPABILITY)] }, 'xattr:security.capability'),
  way(file, { xattrs: [xattr('user.\xff', '')] }, {}, 'xattr:user.%FF'),
  way(directory, {}, { xattrs: [xattr('user.a', '')] }, 'xattr:user.a'),
  way(file, acl('access', ACL), acl('access', OTHER_ACL), 'xattr:system.posix_acl_access'),
  way(
    directory,
    acl('default', ACL, 0o755),
    acl('default', OTHER_ACL, 0o755),
    'xattr:system.posix_acl_default',
  ),
  ...[immutable, append, nodump, noatime, sync].flatMap(flags => [
    way(file, {}, { flags }, 'flags'),
    way(directory, { flags }, {}, 'flags'),
  ]),
  way(directory, {}, { flags: dirsync }, 'flags'),
  way(file, {}, { digest: sha512(bytes('two')) }, 'content'),
  way(file, {}, { size: 5n, digest: sha512(bytes('three')) }, 'content'),
  way(file, {}, { size: 0n, digest: null }, 'size'),
  way(file, hole, { ...hole, holes: [{ start: 1n, count: 1n }] }, 'holes'),
  way(
    file,
    { size: 4096n, holes: [{ start: 0n, count: 1n }], digest: null },
    { size: 8192n, holes: [{ start: 0n, count: 2n }], digest: null },
    'size',
  ),
  way(symlink, {}, { target: bytes('y') }, 'target'),
  way(symlink, {}, { target: bytes(`\xff${'x'.repeat(4094)}`) }, 'target'),
  ...[character, block].flatMap(make => [
    way(make, {}, { major: 4095 }, 'device'),
    way(make, {}, { minor: 1_048_575 }, 'device'),
  ]),
];

/** Names of inodes: groups that split, join, and hand a name on. */
const groups: { have: Entry[]; want: Entry[]; path: string }[] = everywhere
  .filter(([name]) => name !== 'directory')
  .flatMap(([name, make]) => {
    const [a, b, c] = ['a', 'b', 'c'].map(letter => `links/${name}-${letter}`) as [string, string, string];
    const names = (...paths: string[]): object => ({ names: paths.map(bytes) });
    const link = (path: string, target: string): Entry => ({
      type: 'link',
      path: bytes(path),
      target: bytes(target),
    });
    const to = (entries: Entry[], suffix: string): Entry[] => entries.map(entry => renamed(entry, suffix));
    const joined = [make(a, names(b)), link(b, a), make(c)];
    const apart = [make(a), make(b), make(c)];
    const handed = [make(a), make(b, names(c)), link(c, b)];
    return [
      { have: to(joined, '1'), want: to(apart, '1'), path: `/${a}1` },
      { have: to(apart, '2'), want: to(joined, '2'), path: `/${a}2` },
      { have: to(joined, '3'), want: to(handed, '3'), path: `/${a}3` },
    ];
  });

function renamed(entry: Entry, suffix: string): Entry {
  const add = (path: Buffer): Buffer => Buffer.concat([path, bytes(suffix)]);
  if (entry.type === 'link') return { ...entry, path: add(entry.path), target: add(entry.target) };
  if (entry.type === 'directory') return { ...entry, path: add(entry.path) };
  return { ...entry, path: add(entry.path), names: entry.names.map(add) };
}

function tree(entries: Entry[]): Entry[] {
  const fixed = [directory(''), directory('links'), ...entries];
  return fixed.sort((a, b) => comparePaths(a.path, b.path));
}

test('every way in which two trees can differ is seen by check and by diff, and undone by apply', async t => {
  const volume = await VolumeFixture.make(t);
  for (const text of [Buffer.alloc(4096, 'x'), bytes('two'), bytes('three')]) await volume.store.put(text);
  const named = ways.map((each, at) => ({ ...each, path: `w${String(at).padStart(3, '0')}` }));
  const have = tree([
    ...named.map(each => each.have(each.path)),
    ...groups.flatMap(each => each.have),
    file('removed\n'),
  ]);
  const want = tree([
    ...named.map(each => each.want(each.path)),
    ...groups.flatMap(each => each.want),
    file('added\xff'),
  ]);
  const [from, to] = [await volume.image(have), await volume.image(want)];

  const open = async (name: string): Promise<ManifestReader> =>
    ManifestReader.open(volume.store, Buffer.from((await volume.store.image(name)).digest, 'hex'));
  const difference = await diffManifests(await open(from), await open(to), {});
  const diffed = new Map(difference.changed.map(({ path, what }) => [path, what]));
  t.deepEqual([difference.added, difference.removed], [['/added%FF'], ['/removed\n']]);

  await volume.apply(from);
  t.deepEqual(await volume.check(have), { identical: true, differences: [] });
  const { differences } = await volume.check(want);
  const seen = (path: string): string[] =>
    differences.filter(each => each.path === path).map(each => each.what);
  for (const { path, what } of named) {
    t.true(
      diffed.get(`/${path}`)?.includes(what),
      `diff: ${path} ${what}: ${String(diffed.get(`/${path}`))}`,
    );
    t.true(
      seen(`/${path}`).includes(what.replace('xattr:', 'xattr ')),
      `check: ${path} ${what}: ${String(seen(`/${path}`))}`,
    );
  }
  for (const { path } of groups) {
    t.true(diffed.get(path)?.includes('links'), `diff: ${path}`);
    t.true(seen(path).includes('links'), `check: ${path}`);
  }
  t.deepEqual(seen('/added%FF'), ['missing']);
  t.deepEqual(seen('/removed\n'), ['extra']);
  t.false(seen('/').includes('type'));

  for (const [image, entries] of [
    [to, want],
    [from, have],
  ] as const) {
    await volume.apply(image);
    t.deepEqual(await volume.check(entries), { identical: true, differences: [] });
  }
});
