import test from 'ava';
import { tryKillsAtSteps, tryKillsAtTimes } from './kills.js';
import { trying } from './seed.js';

/* Processes that are killed. */

test.serial('an apply that is killed at any step leaves what the next one puts right', async t => {
  const { steps, kills } = await trying(t, tryKillsAtSteps, Infinity, 'small');
  t.true(kills > steps / 2);
});

test.serial('an apply that is killed at any time leaves what the next one puts right', async t => {
  t.true((await trying(t, tryKillsAtTimes, 25, 'small')).kills > 0);
});
