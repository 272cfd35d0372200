import test from 'ava';
import fc from 'fast-check';
import { crc32c, crc32cOfUint32 } from '../../../src/volume/ext4/crc32c.js';

/** As it is usually given: with the register inverted at both ends. */
const standard = (bytes: Buffer): number => (crc32c(0xffffffff, bytes) ^ 0xffffffff) >>> 0;

test('the known checksums come out (RFC 3720, B.4)', t => {
  t.is(standard(Buffer.from('123456789')), 0xe3069283);
  t.is(standard(Buffer.alloc(32)), 0x8a9136aa);
  t.is(standard(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  t.is(standard(Buffer.from(Array.from({ length: 32 }, (_, index) => index))), 0x46dd794e);
});

test('it can be taken in parts, wherever they are cut', t => {
  const parts = fc.tuple(
    fc.uint8Array({ maxLength: 100 }),
    fc.nat(),
    fc.integer({ min: 0, max: 0xffffffff }),
  );
  fc.assert(
    fc.property(parts, ([bytes, where, seed]) => {
      const cut = where % (bytes.length + 1);
      const whole = crc32c(seed, bytes);
      t.is(crc32c(crc32c(seed, bytes, 0, cut), bytes, cut), whole);
      t.is(crc32c(seed, Buffer.concat([Buffer.of(1), bytes]), 1), whole);
    }),
  );
});

test('a number counts as its four bytes', t => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffffffff }), value => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(value);
      t.is(crc32cOfUint32(17, value), crc32c(17, bytes));
    }),
  );
});
