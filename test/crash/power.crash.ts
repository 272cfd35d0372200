import test from 'ava';
import { trying } from './seed.js';
import { trySeries, tryThereAndBack } from './series.js';

/* The power goes. With power-again.crash.ts, more than 500 moments of a series, of which at more than 400 a disk loses something. */

test.serial('whenever the power goes, a volume is what it is called, and is repaired', async t => {
  const { points, withLoss } = await trying(t, trySeries, 330);
  t.true(points >= 330);
  t.true(withLoss >= 200, String(withLoss));
});

test.serial('whenever the power goes in a repair, whatever is unpacked next', async t => {
  const { inRepair } = await trying(t, tryThereAndBack, 12);
  t.true(inRepair > 0);
});
