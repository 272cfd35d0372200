import test from 'ava';
import { parseLimits } from '../../src/cli/limits.js';
import { DEFAULT_LIMITS, showLimits } from '../../src/image/settable-limits.js';

test('limits are set by name, and those left out are the usual ones', t => {
  t.deepEqual(parseLimits('entries=7'), { ...DEFAULT_LIMITS, entries: 7 });
  t.deepEqual(parseLimits('source-bytes=1TiB,name-bytes=100,xattr-bytes=4096'), {
    ...DEFAULT_LIMITS,
    sourceBytes: 2 ** 40,
    nameBytes: 100,
    xattrBytes: 4096,
  });
});

test('limits that were written are read', t => {
  const limits = { entries: 1, nameBytes: 2, xattrBytes: 3, sourceBytes: 2 ** 49 };
  t.deepEqual(parseLimits(showLimits(limits)), limits);
});

for (const [text, message] of [
  ['', /KEY=VALUE/],
  ['entries', /KEY=VALUE/],
  ['entries=0', /no size/],
  ['entries=x', /no size/],
  ['names=5', /"names" is none of the limits entries, name-bytes/],
  ['entries=64000001', /No image has more than 64000000 \(entries\)/],
  ['name-bytes=256', /No image has more than 255/],
] as const) {
  test(`"${text}" sets no limits`, t => {
    t.throws(() => parseLimits(text), { code: 'USAGE', message });
  });
}
