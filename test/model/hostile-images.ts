import { sha512 } from '../../src/image/digest.js';
import type { Entry } from '../../src/image/entry.js';
import type { Lies } from './hand-made.js';

/*
 * What is wrong with images that nobody has built.
 */

const metadata = { mode: 0o755, uid: 0, gid: 0, mtime: 5n, flags: 0, xattrs: [] };
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
export const rootDirectory: Entry = { ...metadata, type: 'directory', path: bytes('') };
const directory = (path: string): Entry => ({ ...metadata, type: 'directory', path: bytes(path) });
const symlink = (path: string, target: string, more: object = {}): Entry => {
  return {
    ...metadata,
    type: 'symlink',
    path: bytes(path),
    mode: 0o777,
    names: [],
    target: bytes(target),
    ...more,
  };
};
const link = (path: string, target: string): Entry => ({
  type: 'link',
  path: bytes(path),
  target: bytes(target),
});
const fifo = (path: string, more: object = {}): Entry => {
  return { ...metadata, type: 'fifo', path: bytes(path), names: [], ...more };
};
export const fileAt = (path: string, more: object = {}): Entry => {
  const content = { size: 3n, holes: [], digest: sha512(bytes('one')), names: [] };
  return { ...metadata, type: 'file', path: bytes(path), ...content, ...more };
};
const xattr = (name: string, value = ''): { name: Buffer; value: Buffer } => ({
  name: bytes(name),
  value: bytes(value),
});

/** What is wrong, what is said of it, and the pages; unless it is said, one with these entries behind a root. */
export interface Hostile {
  what: string;
  message: RegExp;
  entries?: Entry[];
  pages?: Entry[][];
  lies?: Lies;
  code?: string;
  /** It shows only when data is read. */
  inData?: true;
}

export const hostileImages: Hostile[] = [
  { what: 'an empty name', message: /\/a\/\/b has an empty component/, entries: [fileAt('a//b')] },
  { what: 'a name that ends in a slash', message: /\/a\/ has an empty component/, entries: [fileAt('a/')] },
  { what: 'an absolute path', message: /\/\/etc has an empty component/, entries: [fileAt('/etc')] },
  { what: 'a dot', message: /\/\. has "\."/, entries: [fileAt('.')] },
  { what: 'two dots', message: /\/\.\. has "\.\."/, entries: [fileAt('..')] },
  {
    what: 'two dots within',
    message: /a\/\.\.\/\.\.\/b has "\.\."/,
    entries: [directory('a'), fileAt('a/../../b')],
  },
  { what: 'a NUL', message: /a\0b holds a NUL/, entries: [fileAt('a\0b')] },
  { what: 'a name of 256 bytes', message: /longer than 255/, entries: [fileAt('n'.repeat(256))] },
  {
    what: 'an entry in no directory',
    message: /\/no\/where is not in a directory/,
    entries: [fileAt('no/where')],
  },
  {
    what: 'an entry below a file',
    message: /\/a\/b is not in a directory/,
    entries: [fileAt('a'), fileAt('a/b')],
  },
  {
    what: 'an entry through a symbolic link',
    message: /\/a\/passwd is not in a directory/,
    entries: [symlink('a', '/etc'), fileAt('a/passwd')],
  },
  {
    what: 'an entry that is there twice',
    message: /\/a .*(twice|not well-formed)/,
    entries: [symlink('a', '/etc'), fileAt('a')],
  },
  {
    what: 'entries out of order',
    message: /\/a .*(place|not well-formed)/,
    entries: [fileAt('b'), fileAt('a')],
  },
  { what: 'a root that is a file', message: /\/ is not a directory/, pages: [[fileAt('')]] },
  { what: 'no root', message: /out of order|begins/, pages: [[fileAt('a')]] },
  { what: 'a hard link to nowhere', message: /\/b is a hard link to \/a/, entries: [link('b', 'a')] },
  {
    what: 'a hard link to outside',
    message: /\/b is a hard link to a path that has "\.\."/,
    entries: [link('b', '../a')],
  },
  {
    what: 'a hard link to an absolute path',
    message: /\/b is a hard link to a path that has an empty/,
    entries: [link('b', '/a')],
  },
  {
    what: 'a hard link to the root',
    message: /\/b is a hard link to a path that is the root/,
    entries: [link('b', '')],
  },
  {
    what: 'a hard link to a directory',
    message: /\/b is a hard link to \/a/,
    entries: [directory('a'), link('b', 'a')],
  },
  {
    what: 'a hard link to what comes after it',
    message: /\/a is a hard link to a path that comes after/,
    entries: [link('a', 'b'), fileAt('b', { names: [bytes('a')] })],
  },
  {
    what: 'a hard link that its inode does not know',
    message: /\/b is a hard link to \/a/,
    entries: [fileAt('a'), link('b', 'a')],
  },
  {
    what: 'a further name that is not there',
    message: /\/a has the further name \/b/,
    entries: [fileAt('a', { names: [bytes('b')] })],
  },
  {
    what: 'a further name that is another file',
    message: /\/[ab] .*further name/,
    entries: [fileAt('a', { names: [bytes('b')] }), fileAt('b')],
  },
  {
    what: 'a further name outside',
    message: /\.\.\/b has "\.\."/,
    entries: [fileAt('a', { names: [bytes('../b')] })],
  },
  {
    what: 'a name that two files have',
    message: /\/[ab] .*further name/,
    entries: [fileAt('a', { names: [bytes('c')] }), fileAt('b', { names: [bytes('c')] }), link('c', 'b')],
  },
  {
    what: 'a symbolic link to nothing',
    message: /\/a has a bad symbolic link target/,
    entries: [symlink('a', '')],
  },
  {
    what: 'a symbolic link with a NUL',
    message: /\/a has a bad symbolic link target/,
    entries: [symlink('a', 'x\0y')],
  },
  {
    what: 'a symbolic link that is too long',
    message: /\/a .*above 4095/,
    entries: [symlink('a', 'x'.repeat(4096))],
  },
  {
    what: 'a symbolic link with a mode',
    message: /\/a is a symbolic link of another mode/,
    entries: [symlink('a', 'b', { mode: 0o4755 })],
  },
  { what: 'a mode that is none', message: /\/a .*above 4095/, entries: [fileAt('a', { mode: 0o10644 })] },
  {
    what: 'an owner that is none',
    message: /\/a .*above 4294967294/,
    entries: [fileAt('a', { uid: 0xffff_ffff })],
  },
  {
    what: 'a device number that is none',
    message: /\/a .*above 4095/,
    entries: [{ ...metadata, type: 'block', path: bytes('a'), names: [], major: 4096, minor: 0 }],
  },
  {
    what: 'flags of the file system',
    message: /\/a has inode flags that are unknown/,
    entries: [fileAt('a', { flags: 0x80000 })],
  },
  { what: 'flags on a fifo', message: /\/a has inode flags/, entries: [fifo('a', { flags: 0x10 })] },
  {
    what: 'a flag of directories on a file',
    message: /\/a has the inode flag dirsync/,
    entries: [fileAt('a', { flags: 0x10000 })],
  },
  {
    what: 'an attribute of a strange kind',
    message: /\/a has the extended attribute system\.data; only/,
    entries: [fileAt('a', { xattrs: [xattr('system.data', 'x')] })],
  },
  {
    what: "a user's attribute on a fifo",
    message: /\/a has the extended attribute user\.x, which/,
    entries: [fifo('a', { xattrs: [xattr('user.x')] })],
  },
  {
    what: 'capabilities that are none',
    message: /\/a has the extended attribute security\.capability, whose/,
    entries: [fileAt('a', { xattrs: [xattr('security.capability', 'x')] })],
  },
  {
    what: 'attributes out of order',
    message: /\/a has extended attributes that are out of order/,
    entries: [fileAt('a', { xattrs: [xattr('user.b'), xattr('user.a')] })],
  },
  {
    what: 'an ACL that is none',
    message: /\/a is not valid: The access control list/,
    entries: [fileAt('a', { xattrs: [xattr('system.posix_acl_access', 'x')] })],
  },
  {
    what: 'a file larger than files are',
    message: /\/a has a size/,
    entries: [fileAt('a', { size: 2n ** 63n })],
  },
  {
    what: 'a hole beyond the end',
    message: /\/a has a hole beyond/,
    entries: [fileAt('a', { holes: [{ start: 0n, count: 9n }], digest: null })],
    lies: { blocks: 0n },
  },
  {
    what: 'data that is shorter than its size',
    inData: true,
    message: /\/a has 4 bytes of data, but its object has 3|3 bytes, not 4/,
    entries: [fileAt('a', { size: 4n })],
  },
  {
    what: 'data that is longer than its size',
    inData: true,
    message: /\/a has 2 bytes of data, but its object has 3|3 bytes, not 2/,
    entries: [fileAt('a', { size: 2n })],
  },
  {
    what: 'two sizes of one object',
    inData: true,
    message: /\/[ab] has/,
    entries: [fileAt('a'), fileAt('b', { size: 2n })],
  },
  {
    what: 'data that is not in the store',
    inData: true,
    message: /missing/,
    code: 'STORE_DAMAGED',
    entries: [fileAt('a', { digest: sha512(bytes('nowhere')) })],
  },
  {
    what: "the file system's own directory",
    message: /\/lost\+found is the file system's own/,
    code: 'IMAGE_UNSUPPORTED',
    entries: [directory('lost+found')],
  },
  { what: 'more entries than there are', message: /count/, entries: [fileAt('a')], lies: { entries: 3 } },
  {
    what: 'more entries in a page than there are',
    message: /as its index says/,
    entries: [fileAt('a')],
    lies: { entries: 3, pages: () => ({ entries: 3 }) },
  },
  { what: 'fewer bytes than there are', message: /count/, entries: [fileAt('a')], lies: { bytes: 0n } },
  { what: 'fewer blocks than there are', message: /count/, entries: [fileAt('a')], lies: { blocks: 0n } },
  {
    what: 'a page of another length',
    message: /as its index says/,
    entries: [fileAt('a')],
    lies: { pages: ({ length }) => ({ length: length + 1 }) },
  },
  {
    what: 'a page that begins elsewhere',
    message: /as its index says|\/b /,
    pages: [[rootDirectory], [fileAt('b')]],
    lies: { pages: (_, number) => (number === 1 ? { first: bytes('a') } : {}) },
  },
  {
    what: 'a page that goes on into the next',
    message: /as its index says|\/c /,
    pages: [[rootDirectory, fileAt('c')], [fileAt('b')]],
  },
  {
    what: 'a page that is there twice',
    message: /out of order|as its index says|\/a /,
    pages: [[rootDirectory], [fileAt('a')], [fileAt('a')]],
  },
];
