import { setTimeout as wait } from 'node:timers/promises';
import type { Clock } from '../../src/cloud/aws/clock.js';
import { cancelled } from '../../src/image/error.js';
import { Random } from '../crash/rig/random.js';

/** A clock that runs so many times faster than the machine's, with chance from a seed. */
export function fastClock(factor: number, seed = 1): Clock {
  const began = Date.now();
  const random = new Random(seed);
  return {
    now: () => began + (Date.now() - began) * factor,
    random: () => random.next(),
    sleep: async (milliseconds, signal) => {
      try {
        await wait(milliseconds / factor, undefined, { signal });
      } catch {
        throw cancelled();
      }
    },
  };
}
