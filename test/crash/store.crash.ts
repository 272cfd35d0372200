import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { json } from '../cli/imagetool/run.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { countSteps, dieAtStep } from './rig/dying-program.js';
import type { Program } from './rig/dying-program.js';
import { Random } from './rig/random.js';
import { SEED, trying } from './seed.js';
import { tryStorePower } from './store-power.js';

/* The store: builds that are killed, and a machine that stops. */

const FILES = 60;
const KILLS = 40;

test.serial('whenever the power goes, what a store lists is whole, and what was built is there', async t => {
  t.truthy(await trying(t, tryStorePower, 120, 'small'));
});

test.serial('a build that is killed at any step leaves a whole image or none', async t => {
  t.log(`seed ${String(SEED)}`);
  const directory = temporaryDirectory(t);
  const [source, store] = [join(directory, 'source'), join(directory, 'store')];
  mkdirSync(source);
  for (let number = 0; number < FILES; number++) {
    writeFileSync(join(source, String(number)), `file ${String(number)}`.repeat(number * 100));
  }
  const build = (to: string): Program => ({
    name: 'imagetool',
    parameters: ['build', 's/1', '--from', source, '--store', to, '--json'],
  });
  const steps = await countSteps(build(join(directory, 'counted')));
  const random = new Random(SEED);
  const chosen = random.shuffled(Array.from({ length: steps }, (_, step) => step)).slice(0, KILLS);
  let kills = 0;
  for (const step of chosen) {
    const about = `step ${String(step)} of ${String(steps)}`;
    spawnSync('rm', ['-rf', store]);
    const { killed } = await dieAtStep(build(store), step);
    if (killed) kills++;
    const before = readdirSync(directory).includes('store');
    if (before && random.chance(0.5))
      await dieAtStep(build(store), random.below(steps)).catch(() => undefined);
    await json(store, 0, 'build', 's/2', '--from', source);
    t.deepEqual(readdirSync(join(store, 'tmp')), [], about);
    const images = (await json(store, 0, 'list')) as { name: string }[];
    if (!killed) t.is(images.length, 2, about);
    for (const { name } of images) t.like(await json(store, 0, 'verify', name), { ok: true }, about);
    await json(store, 0, 'gc');
    for (const { name } of images) t.like(await json(store, 0, 'verify', name), { ok: true }, about);
  }
  t.log(`${String(steps)} steps, ${String(kills)} killed`);
  t.true(kills > KILLS / 2);
});
