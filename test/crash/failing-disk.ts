import { ImageUnpackerError } from '../../src/image/error.js';
import { Engine } from './rig/engine.js';
import { BrokenPromise, examine } from './rig/examine.js';
import type { Boot } from './rig/machine.js';
import { DISK_NUMBER } from './rig/machine.js';
import { Random } from './rig/random.js';
import type { Letter } from './rig/revisions.js';
import type { Workshop } from './rig/workshop.js';

/*
 * A disk that does not do what it is told to, and says so: requests that fail with EIO, now and for a while. An
 * apply must not take that for done.
 */

/** More requests than an apply makes. */
const MOST_REQUESTS = { write: 70, flush: 14, read: 60 } as const;

/** Tries as many faults. Throws `BrokenPromise`. Resolves to how the applies ended, and how often so. */
export async function tryFailingDisk(
  workshop: Workshop,
  seed: number,
  faults: number,
): Promise<Record<string, number>> {
  const random = new Random(seed);
  const boot = await workshop.machine.boot(workshop.machine.blankDisks(), { logged: true });
  const engine = new Engine(boot, workshop.store);
  await engine.apply(workshop.revisions.A);
  const ended: Record<string, number> = {};
  let there: Letter = 'A';
  for (let fault = 0; fault < faults; fault++) {
    const wanted: Letter = there === 'A' ? 'B' : 'A';
    const request = random.pick(['write', 'write', 'write', 'flush', 'read'] as const);
    const skip = random.below(MOST_REQUESTS[request]);
    const count = random.pick([1, 1, 3, 1000]);
    const about = `${request} ${String(skip)} and ${String(count - 1)} more fail`;
    try {
      boot.log!.fail(request, DISK_NUMBER.volume, skip, count);
      const code = await applyAndFail(workshop, engine, wanted, boot);
      ended[`${request}: ${code}`] = (ended[`${request}: ${code}`] ?? 0) + 1;
      const done = code === 'done';
      // The kernel notes in the superblock that it could not read, be the volume mounted for reading only.
      const foreign = request === 'read';
      const images: Letter[] = done ? [wanted] : [there, wanted];
      there = random.pick(['A', 'B']);
      const expectation = { images, certain: done, foreign, unmade: false, interrupted: ['A', 'B'] as const };
      await examine(workshop, boot, expectation, there, { askKernel: false });
    } catch (reason) {
      if (!(reason instanceof BrokenPromise)) throw new Error(about, { cause: reason });
      throw new BrokenPromise(`${about}: ${reason.message}`);
    }
  }
  await boot.halt();
  return ended;
}

/** Resolves to the code of the error, or to "done". */
async function applyAndFail(workshop: Workshop, engine: Engine, wanted: Letter, boot: Boot): Promise<string> {
  try {
    await engine.apply(workshop.revisions[wanted]);
    return 'done';
  } catch (reason) {
    if (!(reason instanceof ImageUnpackerError)) throw reason;
    return reason.code;
  } finally {
    for (const request of ['write', 'flush', 'read'] as const)
      boot.log!.fail(request, DISK_NUMBER.volume, 0, 0);
  }
}
