import { writeFileSync } from 'node:fs';
import test from 'ava';
import { disksIn, Shop } from '../root/publish-fixture.js';
import { tryPublisherPower } from './publisher-power.js';
import { countSteps, dieAtStep } from './rig/dying-program.js';
import type { Program } from './rig/dying-program.js';
import { Random } from './rig/random.js';
import { SEED, trying } from './seed.js';

/* The local publisher: killed, and on a machine that stops. */

const KILLS = 10;

test.serial('whenever the power goes, publishing ends with exactly one image', async t => {
  t.truthy(await trying(t, tryPublisherPower, 100, 'small'));
});

test.serial(
  'a publisher that is killed at any step ends with exactly one image, resumed or run again',
  async t => {
    t.log(`seed ${String(SEED)}`);
    const random = new Random(SEED);
    const shop = new Shop(t);
    const program: Program = { name: 'ami-publisher', parameters: shop.publishing(1, '--json') };
    const steps = await countSteps(program);
    let kills = 0;
    const forget = (): void => {
      writeFileSync(shop.path('results'), JSON.stringify(shop.publish(1)));
      t.is(shop.call('delete', shop.path('results')).status, 0);
    };
    await shop.settled();
    forget();
    for (let number = 0; number < KILLS; number++) {
      const step = random.below(steps);
      const about = `step ${String(step)} of ${String(steps)}`;
      if ((await dieAtStep(program, step)).killed) kills++;
      const interrupted = shop.runs().find(({ State }) => State === 'interrupted');
      if (interrupted !== undefined && random.chance(0.5)) {
        const where = ['--store', shop.path('store'), '--state-dir', shop.path('state')];
        const { status, stdout, stderr } = shop.call('resume', interrupted.Run, ...where);
        t.is(status, 0, `${about}: ${stdout}${stderr}`);
      }
      shop.publish(1);
      for (const target of ['raw', 'qcow2']) t.is(disksIn(shop.path(target)).length, 1, about);
      await shop.settled();
      forget();
    }
    t.log(`${String(steps)} steps, ${String(kills)} of ${String(KILLS)} killed`);
    t.true(kills > 0);
  },
);
