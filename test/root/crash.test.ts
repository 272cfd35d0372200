import { existsSync } from 'node:fs';
import { tryFailingDisk } from '../crash/failing-disk.js';
import { tryForeignCrash } from '../crash/foreign-crash.js';
import { tryKillsAtSteps } from '../crash/kills.js';
import { tryRestored } from '../crash/restored.js';
import { trying } from '../crash/seed.js';
import { trySeries, tryThereAndBack } from '../crash/series.js';
import { tryShutdown } from '../crash/shutdown.js';
import { needs } from '../needs.js';

/*
 * A little of each of what `npm run test:crash` tries for long, with one seed.
 */

const fault = existsSync('/dev/fuse') ? undefined : 'there is no /dev/fuse';
const trial = needs('power that goes', { fault });

trial('a volume is what it is called after the power went at any moment, and is repaired', async t => {
  const { points, withLoss } = await trying(t, trySeries, 10, 'small');
  t.true(points >= 10);
  t.true(withLoss > 0);
});

trial('a repair that is interrupted is repaired, whatever is unpacked next', async t => {
  const { inRepair } = await trying(t, tryThereAndBack, 1, 'small');
  t.true(inRepair >= 3);
});

trial('a volume and a state directory that are not of one time are found out', async t => {
  t.truthy(await trying(t, tryRestored, 3, 'small'));
});

trial("what was interrupted while somebody else's crash was repaired is read wholly", async t => {
  t.is((await trying(t, tryForeignCrash, 3, 'small')).moments, 3);
});

trial('a disk that fails is not taken for one that is done', async t => {
  t.truthy(await trying(t, tryFailingDisk, 4, 'small'));
});

trial('a file system that is shut down in the middle of a plan leaves a doubtful volume', async t => {
  t.truthy(await trying(t, tryShutdown, 3, 'small'));
});

trial('an apply that is killed at any step leaves what the next one puts right', async t => {
  t.true((await trying(t, tryKillsAtSteps, 3, 'small')).kills > 0);
});
