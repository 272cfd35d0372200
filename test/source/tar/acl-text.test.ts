import test from 'ava';
import { decodeAcl, encodeAcl } from '../../../src/image/acl.js';
import { aclFromText } from '../../../src/source/tar/acl-text.js';

const place = { archive: 'test.tar', path: Buffer.from('f') };
const decode = (text: string, kind: 'access' | 'default' = 'access') =>
  decodeAcl(aclFromText(place, kind, Buffer.from(text)));

const expected = [
  { tag: 1, id: 0, permissions: 6 },
  { tag: 2, id: 1000, permissions: 7 },
  { tag: 2, id: 65534, permissions: 4 },
  { tag: 4, id: 0, permissions: 4 },
  { tag: 8, id: 5, permissions: 1 },
  { tag: 16, id: 0, permissions: 5 },
  { tag: 32, id: 0, permissions: 0 },
];

test('the texts of GNU tar, libarchive and star say the same', t => {
  const texts = [
    'user::rw-\nuser:1000:rwx\nuser:65534:r--\ngroup::r--\ngroup:5:--x\nmask::r-x\nother::---\n',
    'user::rw-,group::r--,other::---,user:joe:rwx:1000,user:nobody:r--:65534,group:tty:--x:5,mask::r-x',
    'u::rw-,u:65534:r--,u:1000:rwx,g::r--,g:5:--x,m:r-x,o:---',
    'user::rw-\nuser:1000:rwx\t#effective:r-x\n user:65534:r-- \n# a remark\ngroup::r--\ngroup:5:--x\nmask:r-x\nother:---',
  ];
  for (const text of texts) t.deepEqual(decode(text), expected, text);
  t.deepEqual(
    decode('default:user::rwx,d:group::r-x,default:other::---', 'default').map(entry => entry.permissions),
    [7, 5, 0],
  );
  t.deepEqual(aclFromText(place, 'access', Buffer.from('')), encodeAcl([]));
});

test('a name without a number is refused, with what to do', t => {
  for (const text of ['user:joe:rwx', 'group:wheel:r--', 'user:root:r--']) {
    t.throws(() => decode(text), { code: 'SOURCE_UNSUPPORTED', message: /--xattrs-include/ }, text);
  }
});

test('what is no ACL is refused', t => {
  const texts = [
    'user',
    'user:',
    'user:rwx',
    'user::rwxx',
    'user::wr-',
    'who::rwx',
    'user:1:rwx:2:3',
    'mask:1:rwx',
    'other::rwx:1',
    'user:4294967295:rwx',
    'user:99999999999:rwx',
    'default:user::rwx',
    'user:1:rwx,user:one:r--:1',
  ];
  for (const text of texts) t.throws(() => decode(text), { code: 'SOURCE_DAMAGED' }, text);
});
