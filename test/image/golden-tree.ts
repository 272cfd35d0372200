import { sha512 } from '../../src/image/digest.js';
import type { Entry } from '../../src/image/entry.js';
import { INODE_FLAGS } from '../../src/image/entry.js';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const plain = { mode: 0o644, uid: 0, gid: 0, mtime: 1_700_000_000_123_456_789n, flags: 0, xattrs: [] };

/** Every kind of entry with every kind of value, for the golden files. They must never change. */
export const goldenTree: Entry[] = [
  { ...plain, type: 'directory', path: bytes(''), mode: 0o755, mtime: 0n },
  { ...plain, type: 'directory', path: bytes('bin'), mode: 0o2755, gid: 50, flags: INODE_FLAGS.dirsync },
  {
    ...plain,
    type: 'file',
    path: bytes('bin/first'),
    mode: 0o4755,
    mtime: -1n,
    flags: INODE_FLAGS.immutable,
    xattrs: [
      {
        name: bytes('security.capability'),
        value: Buffer.from('0100000200040000000000000000000000000000', 'hex'),
      },
      { name: bytes('user.\xff'), value: bytes('') },
    ],
    names: [bytes('bin/second'), bytes('bin-third')],
    size: 5n,
    holes: [],
    digest: sha512(bytes('hello')),
  },
  { type: 'link', path: bytes('bin/second'), target: bytes('bin/first') },
  { type: 'link', path: bytes('bin-third'), target: bytes('bin/first') },
  { ...plain, type: 'character', path: bytes('console'), names: [], major: 5, minor: 1 },
  { ...plain, type: 'block', path: bytes('disk'), names: [], major: 259, minor: 0xfffff },
  {
    ...plain,
    type: 'file',
    path: bytes('empty'),
    uid: 4_294_967_294,
    names: [],
    size: 0n,
    holes: [],
    digest: null,
  },
  { ...plain, type: 'fifo', path: bytes('fifo'), names: [], mode: 0o600 },
  {
    ...plain,
    type: 'file',
    path: bytes('huge'),
    names: [],
    size: 3n << 40n,
    holes: [{ start: 0n, count: (3n << 40n) / 4096n }],
    digest: null,
  },
  { ...plain, type: 'symlink', path: bytes('link'), mode: 0o777, names: [], target: bytes('/no\xffwhere') },
  { ...plain, type: 'socket', path: bytes('socket'), names: [], mtime: 4_000_000_000_000_000_001n },
  {
    ...plain,
    type: 'file',
    path: bytes('sparse'),
    names: [],
    size: 12_289n,
    holes: [{ start: 1n, count: 2n }],
    digest: sha512(Buffer.concat([Buffer.alloc(4096, 1), bytes('z')])),
  },
];
