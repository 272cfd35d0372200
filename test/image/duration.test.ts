import test from 'ava';
import { parseDuration } from '../../src/image/duration.js';

test('a duration is a number and a unit', t => {
  t.deepEqual(['90s', '15m', '12h', '30d', '007s', '36500d'].map(parseDuration), [
    ...[90, 900, 43_200, 2_592_000, 7, 3_153_600_000],
  ]);
});

test('anything else is refused', t => {
  for (const text of [
    '',
    '15',
    'm',
    '1.5h',
    '-1s',
    '+1s',
    ' 1s',
    '1 s',
    '1s ',
    '1d12h',
    '1S',
    '1w',
    '0s',
    '36501d',
    '9'.repeat(400) + 's',
  ]) {
    t.throws(() => parseDuration(text), { code: 'USAGE', name: 'ImageUnpackerError' }, text);
  }
});
