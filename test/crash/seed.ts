import type { ExecutionContext } from 'ava';
import { BrokenPromise } from './rig/examine.js';
import type { Size } from './rig/revisions.js';
import type { Scenario } from './scenarios.js';
import { Workshop } from './rig/workshop.js';

/** The seed of this run: that of `npm run test:crash`, which is another each time, or the usual one. */
export const SEED = Number(process.env['CRASH_SEED'] ?? 297_845);

/** Tries a scenario with the seed of this run, and says which that was. */
export async function trying<S extends Scenario>(
  t: ExecutionContext,
  scenario: S,
  count: number,
  size: Size = 'usual',
  seed = SEED,
): Promise<Awaited<ReturnType<S>>> {
  t.log(`seed ${String(seed)}`);
  const began = performance.now();
  try {
    const figures = await Workshop.use(seed, size, workshop => scenario(workshop, seed, count));
    t.log(JSON.stringify(figures));
    t.log(`${((performance.now() - began) / 1000).toFixed(1)} s`);
    return figures as Awaited<ReturnType<S>>;
  } catch (reason) {
    if (reason instanceof BrokenPromise) t.log(`again: npm run test:crash -- --seed ${String(SEED)}`);
    throw reason;
  }
}
