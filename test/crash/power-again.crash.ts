import test from 'ava';
import { SEED, trying } from './seed.js';
import { trySeries } from './series.js';

/* The power goes, with other trees than in power.crash.ts, so that both can be tried at once. */

test.serial(
  'whenever the power goes, a volume of other trees is what it is called, and is repaired',
  async t => {
    const { points, withLoss } = await trying(t, trySeries, 330, 'usual', SEED + 1);
    t.true(points >= 330);
    t.true(withLoss >= 200, String(withLoss));
  },
);
