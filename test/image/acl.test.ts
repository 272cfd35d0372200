import test from 'ava';
import fc from 'fast-check';
import {
  ACCESS_ACL,
  ACL_TAGS,
  DEFAULT_ACL,
  decodeAcl,
  encodeAcl,
  normaliseAcl,
  type AclEntry,
} from '../../src/image/acl.js';

const { owner, user, owningGroup, group, mask, other } = ACL_TAGS;

const minimal: AclEntry[] = [
  { tag: owner, id: 0, permissions: 6 },
  { tag: owningGroup, id: 0, permissions: 4 },
  { tag: other, id: 0, permissions: 0 },
];
const extended: AclEntry[] = [
  { tag: owner, id: 0, permissions: 7 },
  { tag: user, id: 1000, permissions: 7 },
  { tag: owningGroup, id: 0, permissions: 4 },
  { tag: mask, id: 0, permissions: 5 },
  { tag: other, id: 0, permissions: 1 },
];
const access = (entries: AclEntry[]) => ({ name: Buffer.from(ACCESS_ACL), value: encodeAcl(entries) });
const inherited = (entries: AclEntry[]) => ({ name: Buffer.from(DEFAULT_ACL), value: encodeAcl(entries) });
const invalid = { code: 'IMAGE_INVALID' };

test('an ACL is encoded as the kernel shows it', t => {
  const value =
    '02000000' +
    '01000700ffffffff' +
    '02000700e8030000' +
    '04000400ffffffff' +
    '10000500ffffffff' +
    '20000100ffffffff';
  t.is(encodeAcl(extended).toString('hex'), value);
  t.deepEqual(decodeAcl(Buffer.from(value, 'hex')), extended);
});

test('every ACL that the kernel takes comes back from its encoding', t => {
  const permissions = fc.integer({ min: 0, max: 7 });
  const id = fc.integer({ min: 0, max: 2 ** 32 - 2 });
  const named = (tag: typeof user | typeof group) =>
    fc.array(fc.record({ tag: fc.constant(tag), id, permissions }));
  const single = (tag: AclEntry['tag']) =>
    fc.record({ tag: fc.constant(tag), id: fc.constant(0), permissions });
  const acl = fc
    .tuple(single(owner), named(user), single(owningGroup), named(group), single(mask), single(other))
    .map(([a, b, c, d, e, f]): AclEntry[] => [a, ...b, c, ...d, e, f]);
  fc.assert(
    fc.property(acl, entries => {
      t.deepEqual(decodeAcl(encodeAcl(entries)), entries);
    }),
  );
});

test('what the kernel would not take is refused', t => {
  const refused: [string, Buffer][] = [
    ['no version', Buffer.alloc(3)],
    ['half an entry', encodeAcl(minimal).subarray(0, -4)],
    ['version 1', Buffer.concat([Buffer.of(1), encodeAcl(minimal).subarray(1)])],
    ['no owner', encodeAcl(minimal.slice(1))],
    ['no others', encodeAcl(minimal.slice(0, 2))],
    ['a user and no mask', encodeAcl(extended.filter(entry => entry.tag !== mask))],
    ['out of order', encodeAcl([...minimal].reverse())],
    ['two owners', encodeAcl([minimal[0]!, ...minimal])],
    ['unknown tag', encodeAcl([{ ...minimal[0]!, tag: 3 as AclEntry['tag'] }, ...minimal.slice(1)])],
    ['unknown permission', encodeAcl([{ ...minimal[0]!, permissions: 8 }, ...minimal.slice(1)])],
    [
      'user -1',
      encodeAcl(extended.map(entry => (entry.tag === user ? { ...entry, id: 0xffffffff } : entry))),
    ],
  ];
  for (const [what, value] of refused) t.throws(() => decodeAcl(value), invalid, what);
});

test('an access ACL that says no more than a mode becomes its permission bits', t => {
  const other_ = { name: Buffer.from('user.x'), value: Buffer.from('y') };
  const normal = normaliseAcl(0o4777, [access(minimal), other_], 'file');
  t.deepEqual(normal, { mode: 0o4640, xattrs: [other_] });
});

test('an extended access ACL stays, and its mask is the group of the mode', t => {
  t.deepEqual(normaliseAcl(0o1000, [access(extended)], 'file'), { mode: 0o1751, xattrs: [access(extended)] });
  const masked = [...minimal.slice(0, 2), { tag: mask, id: 0, permissions: 3 }, ...minimal.slice(2)];
  t.deepEqual(normaliseAcl(0, [access(masked)], 'fifo'), { mode: 0o630, xattrs: [access(masked)] });
});

test('a default ACL stays as it is on a directory, and is refused elsewhere', t => {
  t.deepEqual(normaliseAcl(0o755, [inherited(minimal)], 'directory'), {
    mode: 0o755,
    xattrs: [inherited(minimal)],
  });
  t.throws(() => normaliseAcl(0o755, [inherited(minimal)], 'file'), invalid);
  t.throws(() => normaliseAcl(0o777, [access(minimal)], 'symlink'), invalid);
});

test('an ACL of no entries is none', t => {
  t.deepEqual(normaliseAcl(0o640, [access([]), inherited([])], 'file'), { mode: 0o640, xattrs: [] });
});

test('ids of entries that have none are brought into one form', t => {
  const odd = encodeAcl(extended);
  odd.writeUInt32LE(7, 8);
  t.deepEqual(normaliseAcl(0, [{ name: Buffer.from(ACCESS_ACL), value: odd }], 'file').xattrs, [
    access(extended),
  ]);
});
