import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import test from 'ava';
import { ImageUnpackerError } from '../../../src/image/error.js';
import { tarSource } from '../../../src/source/tar/source.js';
import type { SourceEntry } from '../../../src/source/source.js';
import { base256, END, header, inChunks, pax, readAll, readTar, withChecksum, withData } from './archive.js';

const read = (...parts: Buffer[]) => readTar(Buffer.concat([...parts, END]));
const path = (text: string) => Buffer.from(text, 'latin1');
const file = (name: string) => header({ name });

const unsupported = { code: 'SOURCE_UNSUPPORTED' };
const damaged = { code: 'SOURCE_DAMAGED' };

test('every type comes in with all that its header says', async t => {
  const common = { mode: '0004751\0', uid: '0001750\0', gid: '0000144\0', mtime: '00000000012\0' };
  const inode = { mode: 0o4751, uid: 1000, gid: 100, mtime: 10_000_000_000n, flags: 0, xattrs: [] };
  const data = Buffer.from('hello');
  const entries = await read(
    header({ ...common, name: './', type: '5' }),
    withData({ ...common, name: 'file' }, data),
    withData({ ...common, name: 'contiguous', type: '7' }, data),
    withData({ ...common, name: 'old', type: '\0', magic: '' }, data),
    header({ ...common, name: 'old-directory/', type: '\0', magic: '' }),
    header({ ...common, name: 'hard', type: '1', link: './file' }),
    header({ ...common, name: 'soft', type: '2', link: '../\xff/./' }),
    header({ ...common, name: 'c', type: '3', major: base256(300n, 8), minor: '0210560\0' }),
    header({ ...common, name: 'b', type: '4', major: '0000010\0' }),
    header({ ...common, name: 'pipe', type: '6' }),
  );
  const content = (entry: (typeof entries)[number] | undefined) =>
    entry?.type === 'file' ? entry.content : undefined;
  const regular = { type: 'file', size: 5n, holes: [], data, ...inode } as const;
  t.deepEqual(entries as unknown[], [
    { type: 'directory', path: path(''), ...inode },
    { ...regular, path: path('file'), content: content(entries[1]) },
    { ...regular, path: path('contiguous'), content: content(entries[2]) },
    { ...regular, path: path('old'), content: content(entries[3]) },
    { type: 'directory', path: path('old-directory'), ...inode },
    { type: 'link', path: path('hard'), target: path('file') },
    { type: 'symlink', path: path('soft'), target: path('../\xff/./'), ...inode, mode: 0o777 },
    { type: 'character', path: path('c'), major: 300, minor: 70_000, ...inode },
    { type: 'block', path: path('b'), major: 8, minor: 0, ...inode },
    { type: 'fifo', path: path('pipe'), ...inode },
  ]);
});

test('pax records count before GNU long names, and those before the header', async t => {
  const long = [
    withData({ type: 'L', name: '././@LongLink', magic: 'ustar  ' }, `long/${'n'.repeat(200)}\0`),
    withData({ type: 'K', name: '././@LongLink', magic: 'ustar  ' }, `${'t'.repeat(300)}\0`),
  ];
  const [first] = await read(...long, header({ type: '2', name: 'short', link: 'x', magic: 'ustar  ' }));
  t.is(first!.path.toString(), `long/${'n'.repeat(200)}`);
  t.is(first?.type === 'symlink' && first.target.toString(), 't'.repeat(300));

  const records: [string, string][] = [
    ['path', 'a\nb=\xff'],
    ['linkpath', '\xfe'],
    ['uid', '4294967294'],
    ['gid', '3000000'],
    ['mtime', '-1.75'],
    ['atime', '5'],
    ['hdrcharset', 'BINARY'],
  ];
  const [second] = await read(
    ...long,
    pax(records),
    header({ type: '2', uid: 'garbage!', mtime: 'garbage!' }),
  );
  t.like(second, {
    path: path('a\nb=\xff'),
    target: path('\xfe'),
    uid: 4294967294,
    gid: 3000000,
    mtime: -1_750_000_000n,
  });
});

test('a ustar prefix goes before the name; in GNU headers that place is something else', async t => {
  const entries = await read(
    header({ name: 'n'.repeat(100), prefix: 'p'.repeat(155) }),
    header({ name: 'gnu', prefix: '14000000000\0', magic: 'ustar  ' }),
  );
  t.deepEqual(
    entries.map(entry => entry.path.toString()),
    [`${'p'.repeat(155)}/${'n'.repeat(100)}`, 'gnu'],
  );
});

test('a later record of a key counts, and an own one before a global one', async t => {
  const [a, b, c] = await read(
    pax(
      [
        ['uid', '1'],
        ['gid', '1'],
        ['comment', 'x'],
      ],
      'g',
    ),
    pax([
      ['uid', '2'],
      ['uid', '3'],
    ]),
    file('a'),
    file('b'),
    pax([['gid', '4']], 'g'),
    file('c'),
  );
  t.like(a, { uid: 3, gid: 1 });
  t.like(b, { uid: 1, gid: 1 });
  t.like(c, { uid: 1, gid: 4 });
});

test('numbers in base 256', async t => {
  const [entry] = await read(
    header({
      uid: base256(3_000_000n, 8),
      gid: base256(2n ** 32n - 2n, 8),
      mtime: base256(-315619200n, 12),
      size: base256(0n, 12),
    }),
  );
  t.like(entry, { uid: 3_000_000, gid: 2 ** 32 - 2, mtime: -315619200n * 1_000_000_000n, size: 0n });
});

test("times before 1970 are understood in POSIX's way and in libarchive's", async t => {
  const theirs = Buffer.concat([base256(-2n, 11), Buffer.from(' ')]);
  const rounded = Buffer.concat([base256(-3n, 11), Buffer.from(' ')]);
  const times = await read(
    pax([['mtime', '-2.25']]),
    header({ name: 'bsdtar', mtime: theirs }),
    pax([['mtime', '-2.25']]),
    header({ name: 'mended', mtime: rounded }),
    pax([['mtime', '-2.25']]),
    header({ name: 'gnu', mtime: '00000000000\0' }),
    pax([['mtime', '-2']]),
    header({ name: 'whole', mtime: theirs }),
  );
  t.deepEqual(
    times.map(entry => entry.type === 'file' && entry.mtime),
    [-1_750_000_000n, -2_250_000_000n, -2_250_000_000n, -2_000_000_000n],
  );
});

test('xattrs, ACLs and flags', async t => {
  const acl = 'user::rw-\nuser:1000:rwx\ngroup::r--\nmask::rwx\nother::---\n';
  const [extended, minimal, both, directory] = await read(
    pax([
      ['SCHILY.xattr.user.b', '\0\xff'],
      ['SCHILY.acl.access', acl],
      ['SCHILY.fflags', 'schg,nodump'],
      ['RHT.security.selinux', 'l'],
    ]),
    file('extended'),
    pax([['SCHILY.acl.access', 'user::rwx,group::---,other::--x']]),
    file('minimal'),
    pax([
      [
        'SCHILY.xattr.system.posix_acl_access',
        Buffer.from('0200000001000600ffffffff04000000ffffffff20000000ffffffff', 'hex'),
      ],
      ['SCHILY.acl.access', 'user:joe:rwx'],
    ]),
    file('both'),
    pax([['SCHILY.acl.default', 'user::rwx,group::r-x,other::---']]),
    header({ name: 'd', type: '5' }),
  );
  const names = (entry: typeof extended) =>
    entry && 'xattrs' in entry ? entry.xattrs.map(({ name }) => name.toString()) : [];
  t.like(extended, { mode: 0o670, flags: 0x50 });
  t.deepEqual(names(extended), ['security.selinux', 'system.posix_acl_access', 'user.b']);
  t.like(minimal, { mode: 0o701, xattrs: [] });
  t.like(both, { mode: 0o600, xattrs: [] });
  t.deepEqual(names(directory), ['system.posix_acl_default']);
});

test('a volume label, remarks and signed checksums are no hindrance', async t => {
  const entries = await read(
    header({ name: 'My volume', type: 'V', magic: 'ustar  ' }),
    pax([['comment', '0123456789abcdef']], 'g'),
    withChecksum(file('caf\xe9'), true),
  );
  t.deepEqual(
    entries.map(entry => entry.path),
    [path('caf\xe9')],
  );
});

test('archives come in the same whatever the size of chunks', async t => {
  const archive = Buffer.concat([
    pax([['uid', '7']]),
    withData({ name: 'a' }, 'x'.repeat(1500)),
    file('b'),
    END,
  ]);
  const whole = await readTar(archive);
  for (const size of [1, 7, 511, 512, 513]) {
    const parts = await readTar(archive, size);
    t.deepEqual(
      parts.map(entry => [entry.path, entry.data]),
      whole.map(entry => [entry.path, entry.data]),
      String(size),
    );
  }
});

test('data that nobody reads is passed over, and is not there later', async t => {
  const archive = Buffer.concat([withData({ name: 'a' }, 'x'.repeat(70_000)), file('b'), END]);
  const iterator = tarSource(() => inChunks(archive, 1000), 'test.tar')
    .entries()
    [Symbol.asyncIterator]();
  const first = await nextOf(iterator);
  t.is((await nextOf(iterator)).path.toString(), 'b');
  if (first.type !== 'file' || first.content.kind !== 'stream') return t.fail('no data');
  await t.throwsAsync(first.content.chunks[Symbol.asyncIterator]().next(), { code: 'INTERNAL' });
});

const refused: [string, Buffer[], RegExp][] = [
  ['an absolute name', [file('/etc/passwd')], /\/etc\/passwd.*absolute/],
  ['a name with ..', [file('a/../../b')], /has "\.\." as a component/],
  ['a name that is too long', [pax([['path', 'n'.repeat(256)]]), file('x')], /longer than 255 bytes/],
  ['a NUL in a name', [pax([['path', 'a\0b']]), file('x')], /NUL/],
  ['a hard link out of the tree', [header({ name: 'h', type: '1', link: '../f' })], /\/h .*hard link target/],
  ['an absolute hard link', [header({ name: 'h', type: '1', link: '/f' })], /hard link target is absolute/],
  ['a hard link to the root', [header({ name: 'h', type: '1', link: './' })], /hard link to the root/],
  [
    'a hard link with data',
    [withData({ name: 'h', type: '1', link: 'f' }, 'x')],
    /\/h .*says it has 1 bytes/,
  ],
  ['a directory with data', [withData({ name: 'd', type: '5' }, 'x')], /directory that says/],
  ['an old directory with data', [withData({ name: 'd/', type: '\0' }, 'x')], /directory that says/],
  ['a symlink to nothing', [header({ name: 's', type: '2' })], /symlink to nothing/],
  [
    'a symlink that is too long',
    [pax([['linkpath', 'x'.repeat(4096)]]), header({ type: '2' })],
    /longer than the 4095/,
  ],
  ['a root that is a file', [file('.')], /root of the tree is no directory/],
  ['a dump directory', [header({ name: 'd', type: 'D' })], /incremental/],
  ['a part of a volume', [header({ name: 'm', type: 'M' })], /volumes/],
  ['an unknown type', [header({ name: 'u', type: 'Z' })], /\/u .*"Z"/],
  ['a type that cannot be shown', [header({ name: 'u', type: '\x1b' })], /"0x1b"/],
  ['a pax key that is not known', [pax([['VENDOR.secret', 'x']]), file('k')], /\/k .*VENDOR\.secret/],
  ['an NFSv4 ACL', [pax([['SCHILY.acl.ace', 'owner@:rw::allow']]), file('k')], /SCHILY\.acl\.ace/],
  ['a character set that is not known', [pax([['hdrcharset', 'KOI8-R']]), file('k')], /hdrcharset/],
  ['an incremental backup', [pax([['GNU.dumpdir', 'Yx\0\0']]), file('k')], /GNU\.dumpdir/],
  ['a Solaris sparse file', [pax([['SUN.holesdata', ' 0 512']]), file('k')], /SUN\.holesdata/],
  ['a name for all entries', [pax([['path', 'x']], 'g'), file('k')], /global header sets path/],
  [
    'a sparse map for all entries',
    [pax([['GNU.sparse.map', '0,1']], 'g'), file('k')],
    /global header sets GNU\.sparse\.map/,
  ],
  ['an xattr of an unknown namespace', [pax([['SCHILY.xattr.evil.x', '']]), file('k')], /\/k .*evil\.x/],
  [
    'an ACL by name',
    [pax([['SCHILY.acl.access', 'user::rwx,user:joe:rwx,group::r--,mask::rwx,other::---']]), file('k')],
    /\/k .*"user:joe:rwx"/,
  ],
  [
    'an ACL that the kernel refuses',
    [pax([['SCHILY.acl.access', 'user::rwx']]), file('k')],
    /\/k .*lacks the owner/,
  ],
  [
    'a default ACL on a file',
    [pax([['SCHILY.acl.default', 'user::rwx,group::r-x,other::---']]), file('k')],
    /default ACL/,
  ],
  [
    'an ACL on a symlink',
    [pax([['SCHILY.acl.access', 'user::rwx,group::r-x,other::---']]), header({ type: '2', link: 'x' })],
    /on a symlink/,
  ],
  ['flags that are not known', [pax([['SCHILY.fflags', 'opaque']]), file('k')], /opaque/],
  ['flags on a fifo', [pax([['SCHILY.fflags', 'schg']]), header({ name: 'k', type: '6' })], /inode flags/],
  ['the user id -1', [pax([['uid', '4294967295']]), file('k')], /user id 4294967295/],
  ['a negative group id', [header({ gid: base256(-1n, 8) })], /group id -1/],
  ['a device number beyond Linux', [header({ type: '3', major: base256(4096n, 8) })], /4096:0/],
  ['a time beyond Linux', [header({ mtime: base256(2n ** 63n, 12) })], /time/],
  ['an unknown magic', [header({ magic: 'star\0\0\0\0' })], /neither of version 7/],
  [
    'a version 7 header with more behind it',
    [header({ magic: '', patch: { at: 508, bytes: Buffer.from('tar\0') } })],
    /neither of version 7/,
  ],
  ['another real size', [pax([['SCHILY.realsize', '9']]), file('k')], /realsize/],
  ['a label with data', [withData({ type: 'V' }, 'x'), file('k')], /label/],
];

for (const [what, parts, message] of refused) {
  test(`refused: ${what}`, async t => {
    await t.throwsAsync(read(...parts), { ...unsupported, message });
  });
}

const broken: [string, Buffer[], RegExp][] = [
  ['a wrong checksum', [file('a'), Buffer.alloc(512, 'x')], /header at byte 512 has a wrong checksum/],
  ['an empty name', [file('')], /name is empty/],
  ['an empty hard link target', [header({ type: '1' })], /hard link target is empty/],
  ['a size that is no number', [header({ size: '0000000000x\0' })], /size in its header is no number/],
  ['a negative size', [header({ size: base256(-1n, 12) })], /size is no size/],
  ['a blank user id', [header({ uid: ' '.repeat(8) })], /user id in its header/],
  ['a mode of too many bits', [header({ mode: '1000000\0' })], /mode is no mode/],
  ['a negative mode', [header({ mode: base256(-1n, 8) })], /mode is no mode/],
  ['no device number', [header({ type: '3', minor: 'x' })], /minor device number/],
  ['a pax size that is no number', [pax([['size', '']]), file('a')], /its size is no decimal number/],
  ['a pax time that is no time', [pax([['mtime', 'now']]), file('a')], /its mtime is no time/],
  ['a pax header that is none', [withData({ type: 'x' }, 'path=x\n'), file('a')], /not made of records/],
  ['a pax header that is too long', [header({ type: 'x', size: 2 ** 20 + 1 })], /1048577 bytes long/],
  ['a long name that is too long', [header({ type: 'L', size: base256(2n ** 60n, 12) })], /bytes long/],
  ['a pax header of negative size', [header({ type: 'x', size: base256(-512n, 12) })], /-512 bytes long/],
  ['two pax headers', [pax([['uid', '1']]), pax([['gid', '1']]), file('a')], /two pax headers/],
  ['a NUL in a long name', [withData({ type: 'L' }, 'a\0b\0'), file('a')], /NUL/],
  ['a NUL in a symlink target', [pax([['linkpath', 'a\0b']]), header({ type: '2' })], /NUL/],
  ['a pax header at the end', [file('a'), pax([['uid', '1']])], /ends after a header/],
  [
    'too much in global headers',
    [
      ...[1, 2, 3].map(at => pax([[`SCHILY.xattr.user.${String(at)}`, Buffer.alloc(30_000)]], 'g')),
      file('a'),
    ],
    /global headers/,
  ],
];

for (const [what, parts, message] of broken) {
  test(`damaged: ${what}`, async t => {
    await t.throwsAsync(read(...parts), { ...damaged, message });
  });
}

test('what is no tar file, and what is empty', async t => {
  await t.throwsAsync(readTar(Buffer.alloc(0)), { code: 'SOURCE_EMPTY', message: /test\.tar: it is empty/ });
  await t.throwsAsync(readTar(END), { code: 'SOURCE_EMPTY', message: /no entries/ });
  await t.throwsAsync(readTar(Buffer.concat([pax([['comment', 'x']], 'g'), END])), { code: 'SOURCE_EMPTY' });
  for (const bytes of [Buffer.from('hello'), Buffer.alloc(511), Buffer.alloc(5000, '<html>')]) {
    await t.throwsAsync(readTar(bytes), { ...damaged, message: /test\.tar: it is not a tar file/ });
  }
});

test('the end of an archive must be there, and nothing but zeros may follow', async t => {
  t.is((await readTar(Buffer.concat([file('a'), Buffer.alloc(512)]))).length, 1);
  t.is((await readTar(Buffer.concat([file('a'), Buffer.alloc(10_240)]))).length, 1);
  const other = Buffer.concat([file('a'), END, file('b'), END]);
  await t.throwsAsync(readTar(other), { ...damaged, message: /something follows its end/ });
  await t.throwsAsync(readTar(file('a')), { ...damaged, message: /without the mark of its end/ });
});

test('what goes wrong with the file itself is said', async t => {
  const missing = tarSource(
    () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOENT' })),
    'gone.tar',
  );
  await t.throwsAsync(readAll(missing.entries()), { code: 'SOURCE_MISSING', message: /gone\.tar/ });
  const own = new ImageUnpackerError('STORE_DAMAGED', 'wrong digest');
  const failing = async function* () {
    yield file('a');
    await Promise.reject(own);
  };
  const error = await t.throwsAsync(readAll(tarSource(() => failing(), 'x.tar').entries()));
  t.is(error, own);
});

test('a limit on the bytes of tar is kept', async t => {
  const archive = Buffer.concat([withData({ name: 'a' }, 'x'.repeat(100_000)), END]);
  await t.throwsAsync(readTar(archive, 512, 50_000), {
    code: 'LIMIT_EXCEEDED',
    message: /50000/,
  });
  t.is((await readTar(archive, 512, archive.length)).length, 1);
});

test('reading stops at once when it is aborted, even while it waits', async t => {
  const controller = new AbortController();
  const hanging = new Readable({ read: () => undefined });
  hanging.push(file('a'));
  const iterator = tarSource(() => hanging, 'x.tar')
    .entries(controller.signal)
    [Symbol.asyncIterator]();
  t.is((await nextOf(iterator)).path.toString(), 'a');
  const next = iterator.next();
  setTimeout(() => {
    controller.abort();
  }, 10);
  await t.throwsAsync(next, { code: 'CANCELLED' });
  t.true(hanging.destroyed);
});

test('an archive that is damaged is left at once, even if more of it should come', async t => {
  const hanging = new Readable({ read: () => undefined });
  hanging.push(Buffer.concat([gzipSync(Buffer.concat([file('a'), END])), Buffer.alloc(600, 'garbage')]));
  const entries = tarSource(() => hanging, 'x.tar').entries();
  await t.throwsAsync(readAll(entries), { ...damaged, message: /gzip/ });
  t.true(hanging.destroyed);
});

test('a reader who leaves closes the file', async t => {
  const input = Readable.from([Buffer.concat([file('a'), file('b')]), END]);
  for await (const entry of tarSource(() => input, 'x.tar').entries()) {
    t.is(entry.path.toString(), 'a');
    break;
  }
  t.true(input.destroyed);
});

async function nextOf(iterator: AsyncIterator<SourceEntry>): Promise<SourceEntry> {
  const result = await iterator.next();
  if (result.done === true) throw new Error('no more entries');
  return result.value;
}
