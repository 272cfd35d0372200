import { ImageUnpackerError } from '../../src/image/error.js';
import { operationsOf } from './rig/batch-steps.js';
import { Engine } from './rig/engine.js';
import { BrokenPromise, examine } from './rig/examine.js';
import { intercepting } from './rig/intercept.js';
import { Random } from './rig/random.js';
import type { Letter } from './rig/revisions.js';
import type { Shutdown } from './rig/fs-ioc-shutdown.js';
import { SHUTDOWN, shutDown } from './rig/fs-ioc-shutdown.js';
import type { Workshop } from './rig/workshop.js';

/*
 * FS_IOC_SHUTDOWN of the volume's file system between two operations of a plan, or after the last one: what is not
 * on the device is lost, and the apply finds that out.
 */

/** Tries as many places. Throws `BrokenPromise`. Resolves to how the applies ended, and how often so. */
export async function tryShutdown(
  workshop: Workshop,
  seed: number,
  places: number,
): Promise<Record<string, number>> {
  const random = new Random(seed);
  const boot = await workshop.machine.boot(workshop.machine.blankDisks());
  const engine = new Engine(boot, workshop.store);
  await engine.apply(workshop.revisions.A);
  const ended: Record<string, number> = {};
  let there: Letter = 'A';
  for (let place = 0; place < places; place++) {
    const wanted: Letter = there === 'A' ? 'B' : 'A';
    const how = random.pick(Object.keys(SHUTDOWN) as Shutdown[]);
    const part = random.pick([0, 1, random.next(), random.next(), random.next()]);
    const code = await applyAndShutDown(workshop, engine, wanted, part, how);
    ended[code] = (ended[code] ?? 0) + 1;
    const images = [there, wanted];
    there = random.pick(['A', 'B']);
    try {
      const expectation = { images, certain: false, unmade: false, interrupted: ['A', 'B'] as const };
      await examine(workshop, boot, expectation, there, { askKernel: false });
    } catch (reason) {
      if (!(reason instanceof BrokenPromise)) throw reason;
      throw new BrokenPromise(`${how} after ${part.toFixed(2)} of ${wanted}: ${reason.message}`);
    }
  }
  await boot.halt();
  return ended;
}

/** Resolves to the code of the error. */
async function applyAndShutDown(
  { revisions }: Workshop,
  engine: Engine,
  wanted: Letter,
  part: number,
  how: Shutdown,
): Promise<string> {
  try {
    await intercepting(
      'runBatch',
      async (original, root, batch, ...rest) => {
        const operations = operationsOf(batch as Buffer);
        const cut = Math.round(operations.length * part);
        const reports = [await original(root, Buffer.concat(operations.slice(0, cut)), ...rest)];
        shutDown(`/proc/${String(process.pid)}/fd/${String(root)}`, how);
        reports.push(await original(root, Buffer.concat(operations.slice(cut)), ...rest));
        return Buffer.concat(reports as Buffer[]);
      },
      () => engine.apply(revisions[wanted]),
    );
  } catch (reason) {
    if (!(reason instanceof ImageUnpackerError)) throw reason;
    return reason.code;
  }
  throw new BrokenPromise(`An apply of ${wanted} did not notice "${how}" after ${part.toFixed(2)} of it`);
}
