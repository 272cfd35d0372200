import test from 'ava';
import { sha512 } from '../../src/image/digest.js';
import { differencesOf } from '../../src/image/difference.js';
import type { DeviceEntry, FileEntry, InodeEntry, SymlinkEntry } from '../../src/image/entry.js';

const common = {
  path: Buffer.from('x'),
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: 0n,
  flags: 0,
  xattrs: [],
  names: [],
};
const file: FileEntry = {
  ...common,
  type: 'file',
  size: 8192n,
  holes: [],
  digest: sha512(Buffer.alloc(8192)),
};
const symlink: SymlinkEntry = { ...common, type: 'symlink', target: Buffer.from('a') };
const device: DeviceEntry = { ...common, type: 'block', major: 1, minor: 2 };
const xattrs = (...names: string[]) =>
  names.map(name => ({ name: Buffer.from(name), value: Buffer.from('1') }));

const cases: [string[], InodeEntry, InodeEntry][] = [
  [[], file, { ...file, path: Buffer.from('elsewhere') }],
  [['mode'], file, { ...file, mode: 0o600 }],
  [['owner'], file, { ...file, uid: 1 }],
  [['owner'], file, { ...file, gid: 1 }],
  [['mtime'], file, { ...file, mtime: 1n }],
  [['size'], file, { ...file, size: 4096n }],
  [['content'], file, { ...file, digest: sha512(Buffer.alloc(1)) }],
  [['content', 'holes'], file, { ...file, digest: null, holes: [{ start: 0n, count: 2n }] }],
  [['target'], symlink, { ...symlink, target: Buffer.from('b') }],
  [['device'], device, { ...device, minor: 3 }],
  [['type'], device, { ...device, type: 'character' }],
  [['type', 'mode'], symlink, { ...file, mode: 0o600 }],
  [['links'], file, { ...file, names: [Buffer.from('y')] }],
  [['flags'], file, { ...file, flags: 16 }],
  [
    ['xattr:user.a', 'xattr:user.c'],
    { ...file, xattrs: xattrs('user.a', 'user.b') },
    { ...file, xattrs: xattrs('user.b', 'user.c') },
  ],
  [
    ['xattr:user.a'],
    { ...file, xattrs: xattrs('user.a') },
    { ...file, xattrs: [{ name: Buffer.from('user.a'), value: Buffer.from('2') }] },
  ],
];

for (const [number, [what, have, want]] of cases.entries()) {
  test(`${String(number)}: ${have.type} and ${want.type}: ${what.join(', ') || 'nothing'}`, t => {
    t.deepEqual(differencesOf(have, want), what);
    t.deepEqual(differencesOf(want, have), what);
    t.deepEqual(differencesOf(have, have), []);
  });
}
