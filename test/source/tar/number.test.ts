import test from 'ava';
import fc from 'fast-check';
import { decodeDecimal, decodeNumber, decodeTime } from '../../../src/source/tar/number.js';
import { base256 } from './archive.js';

const place = { archive: 'test.tar' };
const field = (text: string) => decodeNumber(Buffer.from(text, 'latin1'));
const time = (text: string) => decodeTime(place, 'mtime', Buffer.from(text));

test('octal fields are read with every terminator that writers use', t => {
  t.is(field('0000644\0'), 0o644n);
  t.is(field('000644 \0'), 0o644n);
  t.is(field('  644 \0\0'), 0o644n);
  t.is(field('77777777'), 0o77777777n);
  t.is(field('777777777777'), 0o777777777777n);
  t.is(field('\0\0\0\0\0\0\0\0'), 0n);
});

test('what is no number is none', t => {
  for (const text of [
    '        ',
    '\0       ',
    '0000648\0',
    '64 4\0\0\0\0',
    '-000001\0',
    '+AAAAAA\0',
    '644\0\x001\0\0',
    ' \0\0\0\0\0\0\0',
    '\x81\0\0\0\0\0\0\0',
  ]) {
    t.is(field(text), undefined, JSON.stringify(text));
  }
});

test('base 256 holds every number, negative ones too', t => {
  t.is(decodeNumber(Buffer.from('ffffffffffffffffed300880', 'hex')), -315619200n);
  fc.assert(
    fc.property(
      fc.bigInt({ min: -(1n << 86n), max: 1n << 86n }),
      value => decodeNumber(base256(value, 12)) === value,
    ),
  );
});

test('times are exact to the nanosecond, and finer ones are cut off towards the past', t => {
  t.is(time('0'), 0n);
  t.is(time('1795446073.68869259'), 1795446073688692590n);
  t.is(time('1.'), 1_000_000_000n);
  t.is(time('-1.75'), -1_750_000_000n);
  t.is(time('0.1234567899'), 123_456_789n);
  t.is(time('-0.1234567899'), -123_456_790n);
  t.is(time('-0.1234567890'), -123_456_789n);
  t.is(time('000000000000000000000000005'), 5_000_000_000n);
});

test('what is no time or no decimal number is refused', t => {
  for (const text of ['', '-', '.5', '1e5', '1.5.', ' 1', '0x1', '1\n', '1,5', 'nan']) {
    t.throws(() => time(text), { code: 'SOURCE_DAMAGED' }, text);
  }
  t.throws(() => time('9223372036854775808'), { code: 'SOURCE_UNSUPPORTED' });
  for (const text of ['', '-1', '1.0', ' 1', '123456789012345678901', '1\0']) {
    t.throws(() => decodeDecimal(place, 'size', Buffer.from(text)), { code: 'SOURCE_DAMAGED' }, text);
  }
});
