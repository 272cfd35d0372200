import { setTimeout as wait } from 'node:timers/promises';
import type { Clock } from '../../src/cloud/aws/clock.js';
import { cancelled } from '../../src/image/error.js';
import { Random } from '../crash/rig/random.js';

/**
 * A clock on which waiting takes so many times less than it says, with chance from a seed. Its time passes by waiting only: what
 * a busy machine is late with takes none of it, so that no deadline passes for that.
 */
export function fastClock(factor: number, seed = 1): Clock {
  let now = Date.now();
  const random = new Random(seed);
  return {
    now: () => now,
    random: () => random.next(),
    sleep: async (milliseconds, signal) => {
      const until = now + milliseconds;
      try {
        await wait(milliseconds / factor, undefined, { signal });
      } catch {
        throw cancelled();
      }
      now = Math.max(now, until);
    },
  };
}
