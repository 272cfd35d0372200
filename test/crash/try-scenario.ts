import { BrokenPromise } from './rig/examine.js';
import { type ScenarioName, SCENARIOS } from './scenarios.js';
import type { Size } from './rig/revisions.js';
import { Workshop } from './rig/workshop.js';

/*
 * Tries a scenario in a process of its own: SCENARIO SEED COUNT SIZE. Ends with 0 when all promises were kept, and with
 * 3, saying which, when one was not.
 */
const [name = '', seed = '', count = '', size = ''] = process.argv.slice(2);
try {
  const scenario = SCENARIOS[name as ScenarioName];
  console.log(
    JSON.stringify(
      await Workshop.use(Number(seed), size as Size, workshop =>
        scenario(workshop, Number(seed), Number(count)),
      ),
    ),
  );
} catch (reason) {
  if (!(reason instanceof BrokenPromise)) throw reason;
  console.error(reason.message);
  process.exitCode = 3;
}
