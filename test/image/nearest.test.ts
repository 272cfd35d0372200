import test from 'ava';
import { nearest } from '../../src/image/nearest.js';

test('what was probably meant is the fewest edits away', t => {
  t.is(nearest('base/debian-12', ['base/debian-13x', 'base/debian-1', 'other']), 'base/debian-1');
  t.is(nearest('abc', ['cab', 'abd']), 'abd');
  t.is(nearest('same', ['some', 'same']), 'same');
});

test('what is far from everything is near to nothing', t => {
  t.is(nearest('abc', ['xyz', 'abcdef']), undefined);
  t.is(nearest('abc', []), undefined);
});
