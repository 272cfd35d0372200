import test from 'ava';
import fc from 'fast-check';
import { ImageUnpackerError } from '../../../src/image/error.js';
import { crc32c } from '../../../src/volume/ext4/crc32c.js';
import {
  cleanBodyXattrs,
  cleanXattrBlock,
  decodeBodyXattrs,
  decodeXattrBlock,
} from '../../../src/volume/ext4/xattr.js';

const SECRET = 'secret';
const BLOCK = 4711;
const SEED = 0x12345678;

interface Attribute {
  prefix: number;
  name: string;
  value: Buffer;
}

/** Writes attributes into an area that is full of something else, as the kernel lays them out. */
function write(area: Buffer, entries: number, valueBase: number, attributes: readonly Attribute[]): void {
  let at = entries;
  let end = area.length;
  for (const { prefix, name, value } of attributes) {
    end -= (value.length + 3) & ~3;
    area.fill(0, at, at + 16 + ((name.length + 3) & ~3));
    area.writeUInt8(name.length, at);
    area.writeUInt8(prefix, at + 1);
    area.writeUInt16LE(value.length > 0 ? end - valueBase : 0, at + 2);
    area.writeUInt32LE(value.length, at + 8);
    area.write(name, at + 16, 'latin1');
    value.copy(area, end);
    at += 16 + ((name.length + 3) & ~3);
  }
  area.writeUInt32LE(0, at);
}

function makeBody(attributes: readonly Attribute[], size = 96): Buffer {
  const body = Buffer.alloc(size, SECRET);
  body.writeUInt32LE(0xea020000, 0);
  write(body, 4, 4, attributes);
  return body;
}

function makeBlock(attributes: readonly Attribute[]): Buffer {
  const block = Buffer.alloc(4096, SECRET);
  block.fill(0, 0, 32);
  block.writeUInt32LE(0xea020000, 0);
  block.writeUInt32LE(3, 4);
  block.writeUInt32LE(1, 8);
  write(block, 32, 0, attributes);
  renew(block);
  return block;
}

/** Gives a block its checksum: over its number, and itself with zero in the place of the checksum. */
function renew(block: Buffer): void {
  const number = Buffer.alloc(8);
  number.writeBigUInt64LE(BigInt(BLOCK));
  block.writeUInt32LE(0, 16);
  block.writeUInt32LE(crc32c(SEED, Buffer.concat([number, block])), 16);
}

const ATTRIBUTES: Attribute[] = [
  { prefix: 1, name: 'first', value: Buffer.from('one') },
  { prefix: 4, name: 'x', value: Buffer.alloc(0) },
  { prefix: 6, name: 'third', value: Buffer.from('three three') },
];
const DECODED = [
  { name: Buffer.from('user.first'), value: Buffer.from('one') },
  { name: Buffer.from('trusted.x'), value: Buffer.alloc(0) },
  { name: Buffer.from('security.third'), value: Buffer.from('three three') },
];

test('attributes are read from an inode and from a block', t => {
  t.deepEqual(decodeBodyXattrs(makeBody(ATTRIBUTES, 120)), { xattrs: DECODED, inInodes: [] });
  t.deepEqual(decodeXattrBlock(makeBlock(ATTRIBUTES), BLOCK, SEED), {
    xattrs: DECODED,
    inInodes: [],
    users: 3,
  });
  t.deepEqual(decodeBodyXattrs(Buffer.alloc(96)), { xattrs: [], inInodes: [] });
  t.deepEqual(decodeBodyXattrs(Buffer.alloc(0)), { xattrs: [], inInodes: [] });
});

test('cleaning takes everything but the attributes', t => {
  const body = makeBody(ATTRIBUTES, 120);
  const block = makeBlock(ATTRIBUTES);
  t.true(body.includes(SECRET) && block.includes(SECRET));
  cleanBodyXattrs(body);
  cleanXattrBlock(block, BLOCK, SEED);
  t.false(body.includes('ret') || block.includes('ret'));
  t.deepEqual(decodeBodyXattrs(body).xattrs, DECODED);
  t.deepEqual(decodeXattrBlock(block, BLOCK, SEED).xattrs, DECODED);
});

test('cleaning an inode without attributes leaves nothing', t => {
  const body = Buffer.alloc(96, SECRET);
  cleanBodyXattrs(body);
  t.true(body.equals(Buffer.alloc(96)));
});

test('a block with another number, seed or byte does not match its checksum', t => {
  const block = makeBlock(ATTRIBUTES);
  const other = Buffer.from(block);
  other[2000]! ^= 1;
  t.throws(() => decodeXattrBlock(block, BLOCK + 1, SEED), { code: 'VOLUME_DAMAGED' });
  t.throws(() => decodeXattrBlock(block, BLOCK, SEED + 1), { code: 'VOLUME_DAMAGED' });
  t.throws(() => decodeXattrBlock(other, BLOCK, SEED), { code: 'VOLUME_DAMAGED' });
});

const HOSTILE: { name: string; change: (block: Buffer) => void }[] = [
  { name: 'entries without an end', change: block => block.fill(1, 32) },
  { name: 'a value behind the end', change: block => block.writeUInt16LE(4094, 34) },
  { name: 'a value in the entries', change: block => block.writeUInt16LE(40, 34) },
  { name: 'values that overlap', change: block => block.writeUInt16LE(4096 - 16, 34) },
  { name: 'a value that is too long', change: block => block.writeUInt32LE(0xffffffff, 40) },
  { name: 'an unknown prefix', change: block => block.writeUInt8(9, 33) },
  { name: 'a name with a zero byte', change: block => block.writeUInt8(0, 50) },
  { name: 'an ACL with a name', change: block => block.writeUInt8(2, 33) },
  { name: 'more blocks than one', change: block => block.writeUInt32LE(2, 8) },
];

test('attributes that contradict themselves are refused', t => {
  for (const { name, change } of HOSTILE) {
    const block = makeBlock(ATTRIBUTES);
    change(block);
    renew(block);
    t.throws(() => decodeXattrBlock(block, BLOCK, SEED), { code: 'VOLUME_DAMAGED' }, name);
  }
});

test('no bytes make the reader do anything but decode or refuse', t => {
  const change = fc.tuple(fc.integer({ min: 0, max: 200 }), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), changes => {
      const block = makeBlock(ATTRIBUTES);
      for (const [at, value] of changes) block[at] = value;
      renew(block);
      try {
        const before = decodeXattrBlock(block, BLOCK, SEED);
        cleanXattrBlock(block, BLOCK, SEED);
        t.deepEqual(decodeXattrBlock(block, BLOCK, SEED), before);
      } catch (error) {
        t.true(error instanceof ImageUnpackerError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test('an ACL is read in the form that programs see', t => {
  const stored = Buffer.from(
    '01000000' + '01000700' + '02000500d2040000' + '04000500' + '10000500' + '20000400',
    'hex',
  );
  const seen =
    '02000000' +
    '01000700ffffffff' +
    '02000500d2040000' +
    '04000500ffffffff' +
    '10000500ffffffff' +
    '20000400ffffffff';
  const { xattrs } = decodeBodyXattrs(makeBody([{ prefix: 2, name: '', value: stored }]));
  t.deepEqual(xattrs, [{ name: Buffer.from('system.posix_acl_access'), value: Buffer.from(seen, 'hex') }]);
  for (const wrong of ['02000000', '0100000001', '010000000300070000000000', '010000000200070000']) {
    const body = makeBody([{ prefix: 3, name: '', value: Buffer.from(wrong, 'hex') }]);
    t.throws(() => decodeBodyXattrs(body), { code: 'VOLUME_DAMAGED' }, wrong);
  }
});
