import { execFileSync } from 'node:child_process';
import test from 'ava';
import fc from 'fast-check';
import type { Entry, Xattr } from '../../src/image/entry.js';
import type { ImageUnpackerError } from '../../src/image/error.js';
import { MAX_EXT4_FILE_BYTES } from '../../src/image/ext4-limits.js';
import { ext4XattrBytes, fitExt4, inExt4Order, OUR_XATTR_ROOM } from '../../src/image/ext4-xattrs.js';
import { run } from './ext4-fixture.js';
import { VolumeFixture } from './volume-fixture.js';

/*
 * What ext4 holds is computed beforehand: whatever is said to fit does, and whatever is said not to does not.
 */

const SECOND = 1_000_000_000n;
const FIRST = -(2n ** 31n) * SECOND;
const LAST = (2n ** 34n - 2n ** 31n - 1n) * SECOND;

const metadata = { mode: 0o644, uid: 0, gid: 0, mtime: 5n, flags: 0, xattrs: [] };
const root: Entry = { ...metadata, type: 'directory', path: Buffer.alloc(0), mode: 0o755 };

function file(path: string, more: object = {}): Entry {
  const content = { size: 0n, holes: [], digest: null, names: [] };
  return { ...metadata, type: 'file', path: Buffer.from(path), ...content, ...more };
}

function sparse(path: string, size: bigint): Entry {
  return file(path, { size, holes: [{ start: 0n, count: (size + 4095n) / 4096n }] });
}

test('the first and the last times, and the largest file, are held', async t => {
  const volume = await VolumeFixture.make(t);
  const times = [FIRST, FIRST + SECOND, FIRST + SECOND + 1n, LAST - 1n, LAST];
  const types = ['symlink', 'directory', 'fifo'] as const;
  const entries = [
    root,
    ...types.flatMap((type): Entry[] => {
      const more = { ...metadata, path: Buffer.from(type), mtime: LAST - 1n };
      if (type === 'directory') return [{ ...more, type }];
      if (type === 'fifo') return [{ ...more, type, names: [] }];
      return [{ ...more, type, mode: 0o777, names: [], target: Buffer.alloc(4095, 't') }];
    }),
    ...times.map((mtime, number) => file(`t${String(number)}`, { mtime })),
    sparse('z', MAX_EXT4_FILE_BYTES),
  ].sort((a, b) => Buffer.compare(a.path, b.path));
  await volume.apply(await volume.image(entries));
  t.deepEqual(await volume.check(entries), { identical: true, differences: [] });
});

const beyond: [string, RegExp, Entry][] = [
  [
    'before the first time',
    /^.*: \/bad has a modification time, -2147483649\.0{9} s/,
    file('bad', { mtime: FIRST - SECOND }),
  ],
  ['within the first second', /modification time/, file('bad', { mtime: FIRST + 1n })],
  ['within the last second', /modification time/, file('bad', { mtime: LAST + 1n })],
  ['after the last time', /between 1901-12-13 and 2446-05-10/, file('bad', { mtime: LAST + SECOND })],
  [
    'a directory after the last time',
    /\/bad has a modification time/,
    { ...metadata, type: 'directory', path: Buffer.from('bad'), mtime: LAST + SECOND },
  ],
  ['a file of a byte too many', /\/bad has 17592186040321 bytes/, sparse('bad', MAX_EXT4_FILE_BYTES + 1n)],
  [
    'an attribute that is too large',
    /\/bad has extended.*user\.a \(5000\)/,
    file('bad', { xattrs: [xattr('user.a', 5000)] }),
  ],
];

test('what is beyond the limits is refused before anything is written, by name', async t => {
  const volume = await VolumeFixture.make(t);
  const images: [string, string, RegExp][] = [];
  for (const [what, message, entry] of beyond)
    images.push([what, await volume.image([root, entry]), message]);
  const good = await volume.image([root, file('good')]);
  for (const state of ['blank', 'made']) {
    const before = volume.bytes();
    for (const [what, image, message] of images) {
      const refusal = { code: 'IMAGE_UNSUPPORTED', message };
      const error = await t.throwsAsync<ImageUnpackerError>(volume.apply(image), refusal, what);
      t.is(error.subject.path, '/bad');
    }
    t.is(volume.bytes(), before, state);
    t.is((await volume.apply(good)).scan, 'none');
  }
});

test('all entries that cannot be held are named', async t => {
  const volume = await VolumeFixture.make(t);
  const many = Array.from({ length: 3 }, (_, at) => file(`f${String(at)}`, { mtime: LAST + 1n }));
  const error = await t.throwsAsync<ImageUnpackerError>(volume.apply(await volume.image([root, ...many])));
  t.regex(error.message, /\/f0 has a modification time.* \(and 2 more\)/);
  t.deepEqual(
    error.subject.details?.map(detail => detail.slice(0, 4)),
    ['/f0 ', '/f1 ', '/f2 '],
  );
});

function xattr(name: string, length: number): Xattr {
  return { name: Buffer.from(name), value: Buffer.alloc(length, 'v') };
}

const ACL_HEAD = '0200000001000700ffffffff';
const ACL_TAIL = '10000700ffffffff20000500ffffffff';

/** An ACL for so many users, which agrees with the mode 0775. */
function acl(users: number): Xattr {
  const named = Array.from({ length: users }, (_, id) => `02000700${id.toString(16).padStart(2, '0')}000000`);
  const hex = `${ACL_HEAD}${named.join('')}04000500ffffffff${ACL_TAIL}`;
  return { name: Buffer.from('system.posix_acl_access'), value: Buffer.from(hex, 'hex') };
}

const small = fc.record({
  space: fc.constantFrom('user.', 'trusted.', 'security.'),
  name: fc.nat(30),
  value: fc.nat(60),
});
const large = fc.record({
  space: fc.constantFrom('user.', 'trusted.'),
  name: fc.nat(250 - 'trusted.'.length),
  value: fc.nat(3000),
});

/** Attributes that take about as much as an inode and a block have room for. */
const aboutFull: fc.Arbitrary<Xattr[]> = fc
  .record({
    few: fc.array(fc.oneof({ weight: 3, arbitrary: small }, { weight: 1, arbitrary: large }), {
      maxLength: 8,
    }),
    users: fc.nat(40),
    total: fc.oneof(fc.integer({ min: 4020, max: 4160 }), fc.integer({ min: 60, max: 120 }), fc.nat(4400)),
  })
  .map(({ few, users, total }) => {
    const xattrs = few.map(({ space, name, value }, at) =>
      xattr(`${space}${String.fromCharCode(97 + at)}${'n'.repeat(name)}`, value),
    );
    if (users > 20) xattrs.push(acl(users - 20));
    const missing = total - ext4XattrBytes(xattrs) - 20;
    if (missing > 0) xattrs.push(xattr('user.zz', missing));
    return xattrs.sort((a, b) => Buffer.compare(a.name, b.name));
  });

const fits = (xattrs: readonly Xattr[]): boolean => fitExt4(xattrs, OUR_XATTR_ROOM);

test('attributes that are said to fit do, whatever was there before', async t => {
  const volume = await VolumeFixture.make(t);
  const seed = Date.now() & 0xffff;
  t.log(`seed ${String(seed)}`);
  const files = 40;
  const sets = fc.sample(aboutFull.filter(fits), { numRuns: 12 * files, seed });
  t.true(sets.some(xattrs => ext4XattrBytes(xattrs) > 4060));
  for (let at = 0; at < sets.length; at += files) {
    const entries = [
      root,
      ...sets
        .slice(at, at + files)
        .map((xattrs, number) => file(`f${String(number).padStart(2, '0')}`, { mode: 0o775, xattrs })),
    ];
    await volume.apply(await volume.image(entries));
    t.deepEqual(await volume.check(entries), { identical: true, differences: [] });
  }
});

/** Sets attributes of new files, and says of each file whether all of them could be set. */
const SET_ALL = `
import json, os, sys
for number, xattrs in enumerate(json.load(sys.stdin)):
    path = os.path.join(sys.argv[1], str(number))
    open(path, 'w').close()
    os.chmod(path, 0o775)
    try:
        for name, value in xattrs: os.setxattr(path, bytes.fromhex(name), bytes.fromhex(value))
        print(1)
    except OSError as error:
        assert error.errno == 28, error
        print(0)
    os.unlink(path)
`;

function canSet(directory: string, sets: readonly (readonly Xattr[])[]): boolean[] {
  const input = JSON.stringify(
    sets.map(xattrs => xattrs.map(({ name, value }) => [name.toString('hex'), value.toString('hex')])),
  );
  const output = execFileSync('python3', ['-c', SET_ALL, directory], { input, maxBuffer: 1 << 26 });
  return output
    .toString()
    .trim()
    .split('\n')
    .map(line => line === '1');
}

for (const [what, features, room] of [
  ['', '', OUR_XATTR_ROOM],
  [', with ea_inode', ',ea_inode', { ...OUR_XATTR_ROOM, valuesInInodes: true }],
  [', in inodes of 512 bytes', '', { ...OUR_XATTR_ROOM, inodeBytes: 512 }],
] as const) {
  test(`the kernel takes just the attributes that are said to fit${what}`, async t => {
    const volume = await VolumeFixture.make(t);
    run(
      'mkfs.ext4',
      '-q',
      '-b',
      '4096',
      '-I',
      String(room.inodeBytes),
      '-O',
      `^metadata_csum_seed${features}`,
      volume.device,
    );
    const seed = Date.now() & 0xffff;
    t.log(`seed ${String(seed)}`);
    const sets = fc.sample(aboutFull, { numRuns: 600, seed }).filter(xattrs => xattrs.length > 0);
    const expected = sets.map(xattrs => fitExt4(xattrs, room));
    await volume.mounted('rw', directory => {
      const found = canSet(directory, sets.map(inExt4Order));
      const wrong = sets.filter((_, at) => found[at] !== expected[at]);
      t.deepEqual(wrong.map(shown), []);
      // What does not fit in that order does not in any other, in inodes as they are made here.
      if (room !== OUR_XATTR_ROOM) return;
      const refused = sets.filter((_, at) => expected[at] === false);
      t.true(refused.length > 20);
      for (let turn = 1; turn <= 5; turn++) {
        const others = refused.map(xattrs => [
          ...xattrs.slice(turn % xattrs.length),
          ...xattrs.slice(0, turn % xattrs.length),
        ]);
        t.false(canSet(directory, others).includes(true));
      }
    });
  });
}

function shown(xattrs: readonly Xattr[]): string {
  return xattrs.map(({ name, value }) => `${String(name)} ${String(value.length)}`).join(', ');
}
