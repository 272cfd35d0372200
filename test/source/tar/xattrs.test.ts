import test from 'ava';
import { paxAttributes } from '../../../src/source/tar/pax-attributes.js';
import { decodeXattrs } from '../../../src/source/tar/xattrs.js';

const place = { archive: 'test.tar', path: Buffer.from('f') };

function decode(...records: [string, string | Buffer][]): [string, string][] {
  const attributes = paxAttributes(
    place,
    records.map(([key, value]) => ({ key, value: Buffer.from(value as string, 'latin1') })),
  );
  return decodeXattrs(place, attributes).map(({ name, value }) => [
    name.toString('latin1'),
    value.toString('latin1'),
  ]);
}

const unsupported = { code: 'SOURCE_UNSUPPORTED' };
const damaged = { code: 'SOURCE_DAMAGED' };

test('values are bytes, names are sorted, the last record of a name counts', t => {
  t.deepEqual(
    decode(
      ['SCHILY.xattr.user.b', '\xff\0\n='],
      ['SCHILY.xattr.trusted.a', ''],
      ['SCHILY.xattr.user.a', 'old'],
      ['SCHILY.xattr.user.a', 'new'],
      ['SCHILY.xattr.security.capability', '\x01\0\0\x02'],
    ),
    [
      ['security.capability', '\x01\0\0\x02'],
      ['trusted.a', ''],
      ['user.a', 'new'],
      ['user.b', '\xff\0\n='],
    ],
  );
});

test('names that GNU tar encoded are decoded, others with a percent sign are refused', t => {
  t.deepEqual(decode(['SCHILY.xattr.user.a%3Db%25c', 'v']), [['user.a=b%c', 'v']]);
  for (const name of ['user.a%20b', 'user.a%', 'user.%3d', 'user.%2', 'user.%%3D']) {
    t.throws(() => decode([`SCHILY.xattr.${name}`, 'v']), unsupported, name);
  }
});

test("libarchive's own form counts, and the other may repeat it in any of the ways it was written", t => {
  const own: [string, string] = ['LIBARCHIVE.xattr.user.a%3D%20b', '/wD+'];
  const value = '\xff\0\xfe';
  t.deepEqual(decode(own), [['user.a= b', value]]);
  t.deepEqual(decode(own, ['SCHILY.xattr.user.a%3D%20b', value]), [['user.a= b', value]]);
  t.deepEqual(decode(own, ['SCHILY.xattr.user.a', ` b=${value}`]), [['user.a= b', value]]);
  t.throws(() => decode(own, ['SCHILY.xattr.user.a%3D%20b', 'other']), unsupported);
  t.throws(() => decode(own, ['SCHILY.xattr.user.c', 'more']), unsupported);
});

test('base64 and percent codes are taken only as they are written', t => {
  t.deepEqual(decode(['LIBARCHIVE.xattr.user.a', 'dg']), [['user.a', 'v']]);
  t.deepEqual(decode(['LIBARCHIVE.xattr.user.a', 'dg==']), [['user.a', 'v']]);
  t.deepEqual(decode(['LIBARCHIVE.xattr.user.a', '']), [['user.a', '']]);
  for (const value of ['d', 'd!', 'dh', 'd_', 'dg dg'])
    t.throws(() => decode(['LIBARCHIVE.xattr.user.a', value]), damaged, value);
  t.throws(() => decode(['LIBARCHIVE.xattr.user.%4', 'dg']), damaged);
});

test('an SELinux label gets its NUL, and must agree with the xattr', t => {
  const label = 'system_u:object_r:bin_t:s0';
  t.deepEqual(decode(['RHT.security.selinux', label]), [['security.selinux', `${label}\0`]]);
  t.is(decode(['RHT.security.selinux', label], ['SCHILY.xattr.security.selinux', `${label}\0`]).length, 1);
  t.throws(
    () => decode(['RHT.security.selinux', label], ['SCHILY.xattr.security.selinux', label]),
    unsupported,
  );
  t.throws(() => decode(['RHT.security.selinux', 'a\0b']), damaged);
});

test('namespaces, names and values that Linux does not hold are refused', t => {
  for (const name of [
    'system.nfs4_acl',
    'com.apple.quarantine',
    'user.',
    'user',
    'User.a',
    'os2.a',
    'btrfs.compression',
  ]) {
    t.throws(() => decode([`SCHILY.xattr.${name}`, 'v']), unsupported, name);
  }
  t.throws(() => decode(['SCHILY.xattr.user.a\0b', 'v']), damaged);
  t.throws(() => decode([`SCHILY.xattr.user.${'a'.repeat(251)}`, 'v']), unsupported);
  t.is(decode([`SCHILY.xattr.user.${'a'.repeat(250)}`, Buffer.alloc(65536)]).length, 1);
  t.throws(() => decode(['SCHILY.xattr.user.a', Buffer.alloc(65537)]), unsupported);
});
