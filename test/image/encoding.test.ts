import test from 'ava';
import fc from 'fast-check';
import { ByteReader, ByteWriter } from '../../src/image/encoding.js';

const invalid = { code: 'IMAGE_INVALID' };

function written(write: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter();
  write(writer);
  return writer.take();
}

test('numbers are read as they were written, and take the fewest bytes', t => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      (u, s) => {
        const bytes = written(writer => {
          writer.varint(u);
          writer.zigzag(s);
        });
        const reader = new ByteReader(bytes);
        t.is(reader.varint64(), u);
        t.is(reader.at, Math.max(1, Math.ceil(u.toString(2).length / 7)));
        t.is(reader.zigzag(), s);
        t.is(reader.left, 0);
      },
    ),
  );
});

test('numbers and bigints are written alike', t => {
  fc.assert(
    fc.property(fc.maxSafeNat(), number => {
      const bytes = written(writer => writer.varint(number));
      t.true(bytes.equals(written(writer => writer.varint(BigInt(number)))));
      t.is(new ByteReader(bytes).varint(Number.MAX_SAFE_INTEGER), number);
    }),
  );
});

test('bytes of any length are read as they were written', t => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 5000 })), pieces => {
      const reader = new ByteReader(
        written(writer => {
          for (const piece of pieces) writer.bytes(piece);
        }),
      );
      for (const piece of pieces) t.true(reader.bytes(5000).equals(piece));
      t.is(reader.left, 0);
    }),
  );
});

for (const [what, hex, message] of [
  ['a number that goes on after its last byte', '80', /ends too early/],
  ['nothing', '', /ends too early/],
  ['a number with a zero at its end', '8000', /shortest form/],
  ['a number of more than 64 bits', 'ffffffffffffffffff02', /more than 64 bits/],
  ['a number of eleven bytes', 'ffffffffffffffffffff01', /more than 64 bits/],
] as const) {
  test(`refused: ${what}`, t => {
    t.throws(() => new ByteReader(Buffer.from(hex, 'hex')).varint64(), { ...invalid, message });
    t.throws(() => new ByteReader(Buffer.from(hex, 'hex')).varint(Number.MAX_SAFE_INTEGER), invalid);
  });
}

test('a number above its limit, and bytes that are not all there, are refused', t => {
  t.is(new ByteReader(Buffer.from([100])).varint(100), 100);
  t.throws(() => new ByteReader(Buffer.from([101])).varint(100), { ...invalid, message: /above 100/ });
  t.throws(() => new ByteReader(Buffer.from([3, 1, 2])).bytes(10), { ...invalid, message: /too early/ });
  t.throws(() => new ByteReader(Buffer.from([3, 1, 2, 3])).bytes(2), { ...invalid, message: /above 2/ });
  t.throws(() => new ByteReader(Buffer.from([1, 2, 3]), 0, 2).raw(3), { ...invalid, message: /too early/ });
});
