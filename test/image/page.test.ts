import test from 'ava';
import fc from 'fast-check';
import { ByteWriter } from '../../src/image/encoding.js';
import type { Entry, FileEntry } from '../../src/image/entry.js';
import { decodePage, PageWriter } from '../../src/image/page.js';
import { golden } from '../golden.js';
import { entriesOf, treePlan } from '../model/tree.js';
import { goldenTree } from './golden-tree.js';

function encode(entries: readonly Entry[]): Buffer {
  const writer = new PageWriter();
  for (const entry of entries) writer.add(entry);
  return writer.take();
}

/** A page of one entry, its body given as it stands. */
function pageOf(path: string, write: (body: ByteWriter) => void): Buffer {
  const entry = new ByteWriter();
  entry.varint(0);
  entry.bytes(Buffer.from(path));
  write(entry);
  const page = new ByteWriter();
  page.raw(Buffer.from('iupage1\n'));
  page.bytes(entry.take());
  return page.take();
}

function writeInode(
  body: ByteWriter,
  type: number,
  { mode = 0o644, uid = 0, nanoseconds = 0, flags = 0, xattrs = 0 } = {},
): void {
  body.byte(type);
  for (const number of [mode, uid, 0]) body.varint(number);
  body.zigzag(0n);
  body.varint(nanoseconds);
  body.varint(flags);
  body.varint(xattrs);
}

const invalid = { code: 'IMAGE_INVALID' };

test('the golden page is what its tree becomes, and becomes its tree', t => {
  const page = golden('page');
  t.true(encode(goldenTree).equals(page));
  t.deepEqual(decodePage(page), goldenTree);
});

test('what is written is read', t => {
  fc.assert(
    fc.property(treePlan, plan => {
      const entries = entriesOf(plan);
      t.deepEqual(decodePage(encode(entries)), entries);
    }),
    { numRuns: 50 },
  );
});

test('a page that is read at all is the only one of its entries', t => {
  const page = golden('page');
  const change = fc.record({ at: fc.nat({ max: page.length - 1 }), byte: fc.nat({ max: 255 }) });
  let readable = 0;
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), changes => {
      const changed = Buffer.from(page);
      for (const { at, byte } of changes) changed[at] = byte;
      let entries: Entry[];
      try {
        entries = decodePage(changed);
      } catch (error) {
        t.is((error as { code?: string }).code, 'IMAGE_INVALID');
        return;
      }
      readable++;
      t.true(encode(entries).equals(changed));
    }),
    { numRuns: 3000 },
  );
  t.true(readable > 100);
});

test('a page that was cut off is refused, or has whole entries', t => {
  const page = golden('page');
  const whole: number[] = [];
  for (let length = 0; length < page.length; length++) {
    try {
      const entries = decodePage(page.subarray(0, length));
      t.deepEqual(entries, goldenTree.slice(0, entries.length));
      whole.push(length);
    } catch (error) {
      t.is((error as { code?: string }).code, 'IMAGE_INVALID');
    }
  }
  t.is(whole.length, goldenTree.length - 1);
});

test('an empty page is refused', t => {
  t.throws(() => decodePage(Buffer.from('iupage1\n')), invalid);
  t.throws(() => decodePage(Buffer.alloc(0)), invalid);
});

test('the pages that are made here by hand are sound but for what they are refused for', t => {
  t.deepEqual(decodePage(pageOf('b', body => writeInode(body, 2))), [
    {
      type: 'directory',
      path: Buffer.from('b'),
      mode: 0o644,
      uid: 0,
      gid: 0,
      mtime: 0n,
      flags: 0,
      xattrs: [],
    },
  ]);
  const file = decodePage(pageOf('b', body => writeFile(body, 8192, [[1, 1]])));
  t.deepEqual((file[0] as FileEntry).holes, [{ start: 1n, count: 1n }]);
});

/** A file of so many bytes with holes, each the blocks before it and its own. */
function writeFile(body: ByteWriter, size: number | bigint, holes: [number, number][]): void {
  writeInode(body, 1);
  for (const number of [0, size, holes.length, ...holes.flat()]) body.varint(number);
  body.raw(Buffer.alloc(64));
}

const refused: [string, RegExp, (body: ByteWriter) => void][] = [
  ['an unknown type', /unknown type/, body => body.byte(9)],
  ['type 0', /unknown type/, body => body.byte(0)],
  ['a mode of more than twelve bits', /number above 4095/, body => writeInode(body, 2, { mode: 0o10000 })],
  ['the owner that means no change', /number above/, body => writeInode(body, 2, { uid: 0xffff_ffff })],
  [
    'a whole second of nanoseconds',
    /number above/,
    body => writeInode(body, 2, { nanoseconds: 1_000_000_000 }),
  ],
  ['flags that describe storage', /flags/, body => writeInode(body, 2, { flags: 0x80000 })],
  ['an xattr without a name', /only user/, body => writeXattrs(body, [''])],
  ['an xattr of another namespace', /system\.nfs4_acl; only/, body => writeXattrs(body, ['system.nfs4_acl'])],
  ['an xattr with a NUL in its name', /only user/, body => writeXattrs(body, ['user.a\0b'])],
  ["a user's xattr on a fifo", /on files and directories only/, body => writeXattrs(body, ['user.a'], 6)],
  ['capabilities that are none', /whose value is none/, body => writeXattrs(body, ['security.capability'])],
  ['an ACL that is none', /not made of entries/, body => writeXattrs(body, ['system.posix_acl_access'])],
  ['an ACL that its mode contradicts', /does not agree/, body => writeAcl(body, 0o744)],
  ['an ACL that says no more than its mode', /does not agree/, body => writeAcl(body, 0o750)],
  ['flags on a symbolic link', /flags/, body => writeInode(body, 3, { mode: 0o777, flags: 0x10 })],
  ['a flag of directories on a file', /dirsync/, body => writeInode(body, 1, { flags: 0x10000 })],
  ['a symbolic link of another mode', /other mode/, body => writeInode(body, 3, { mode: 0o755 })],
  ['xattrs out of order', /out of order/, body => writeXattrs(body, ['user.b', 'user.a'])],
  ['an xattr that is there twice', /out of order/, body => writeXattrs(body, ['user.a', 'user.a'])],
  ['a symbolic link to nothing', /target/, body => writeNames(body, 3, [])],
  [
    'a name that does not come after its path',
    /names that are out of order/,
    body => writeNames(body, 6, ['a']),
  ],
  ['names out of order', /names that are out of order/, body => writeNames(body, 6, ['d', 'c'])],
  ['a name that leads out', /".."/, body => writeNames(body, 6, ['c/../d'])],
  ['a device number of more than twelve bits', /number above/, body => writeDevice(body, 0x1000)],
  ['a file larger than files are', /size/, body => writeFile(body, 2n ** 63n, [])],
  ['a hole of no blocks', /not maximal/, body => writeFile(body, 4096, [[0, 0]])],
  [
    'two holes that are one',
    /not maximal/,
    body =>
      writeFile(body, 8192, [
        [0, 1],
        [0, 1],
      ]),
  ],
  ['a hole beyond the end', /beyond its end/, body => writeFile(body, 4096, [[0, 2]])],
  ['a hard link to the root', /is the root/, body => writeLink(body, '')],
  ['a hard link to a path after it', /comes after it/, body => writeLink(body, 'z')],
  ['bytes after an entry', /mean nothing/, body => writeLong(body)],
];

function writeLong(body: ByteWriter): void {
  writeInode(body, 2);
  body.byte(0);
}

function writeXattrs(body: ByteWriter, names: string[], type = 2): void {
  writeInode(body, type, { xattrs: names.length });
  for (const name of names) {
    body.bytes(Buffer.from(name));
    body.bytes(Buffer.alloc(0));
  }
}

/** A directory with an ACL of the three entries that a mode has: 0750. */
function writeAcl(body: ByteWriter, mode: number): void {
  writeInode(body, 2, { mode, xattrs: 1 });
  body.bytes(Buffer.from('system.posix_acl_access'));
  body.bytes(Buffer.from('0200000001000700ffffffff04000500ffffffff20000000ffffffff', 'hex'));
}

function writeNames(body: ByteWriter, type: number, names: string[]): void {
  writeInode(body, type, { mode: type === 3 ? 0o777 : 0o644 });
  body.varint(names.length);
  for (const name of names) body.bytes(Buffer.from(name));
  if (type === 3) body.bytes(Buffer.alloc(0));
}

function writeDevice(body: ByteWriter, major: number): void {
  writeInode(body, 4);
  for (const number of [0, major, 0]) body.varint(number);
}

function writeLink(body: ByteWriter, target: string): void {
  body.byte(8);
  body.bytes(Buffer.from(target));
}

for (const [what, message, write] of refused) {
  test(`refused: ${what}`, t => {
    t.throws(() => decodePage(pageOf('b', write)), { ...invalid, message });
  });
}

for (const path of ['..', '.', 'a/../b', 'a//b', '/a', 'a/', 'a\0', 'x'.repeat(256)]) {
  test(`refused: the path ${JSON.stringify(path.slice(0, 20))}`, t => {
    const message = /component|NUL|longer/;
    t.throws(() => decodePage(pageOf(path, body => writeInode(body, 2))), { ...invalid, message });
  });
}
