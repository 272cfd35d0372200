import { mkdirSync } from 'node:fs';
import { run } from '../root/ext4-fixture.js';
import { Engine } from './rig/engine.js';
import { BrokenPromise, examine } from './rig/examine.js';
import type { Disks } from './rig/machine.js';
import { DISK_NUMBER } from './rig/machine.js';
import { Random } from './rig/random.js';
import { record } from './rig/record.js';
import { Replay } from './rig/replay.js';
import { shutDown } from './rig/fs-ioc-shutdown.js';
import type { Workshop } from './rig/workshop.js';

/*
 * Somebody else had the volume mounted when the power went, and it goes again while that is repaired. Nothing that
 * was known holds then: content may have changed, and no time with it.
 */

/** Tries so many moments of a repair. Throws `BrokenPromise`. */
export async function tryForeignCrash(
  workshop: Workshop,
  seed: number,
  moments: number,
): Promise<{ moments: number }> {
  const disks = await spoiled(workshop);
  const recording = await record(workshop, disks, undefined, ['A']);
  const [{ begin, done }] = recording.phases as [(typeof recording.phases)[0]];
  const random = new Random(seed);
  const replay = new Replay([disks.state, disks.volume], recording.events);
  const chosen = Array.from({ length: moments }, () => begin + random.below(done - begin + 1));
  for (const moment of chosen.sort((a, b) => a - b)) {
    replay.advance(moment);
    const left = { state: replay.keep(DISK_NUMBER.state), volume: replay.keep(DISK_NUMBER.volume) };
    const boot = await workshop.machine.boot(left);
    try {
      const expectation = { images: ['A'] as const, certain: moment > done, foreign: true, unmade: true };
      await examine(workshop, boot, { ...expectation, interrupted: ['A'] }, 'A', { askKernel: false });
    } catch (reason) {
      if (!(reason instanceof BrokenPromise)) throw reason;
      throw new BrokenPromise(
        `${String(moment - begin)} of ${String(done - begin)} events: ${reason.message}`,
      );
    }
    await boot.halt();
  }
  return { moments };
}

/** The disks of a volume that was A, and of which a file was written to by somebody whose power went. */
async function spoiled(workshop: Workshop): Promise<Disks> {
  const boot = await workshop.machine.boot(workshop.machine.blankDisks());
  await new Engine(boot, workshop.store).apply(workshop.revisions.A);
  const root = `${boot.stateDirectory}.foreign`;
  mkdirSync(root);
  run('mount', '-t', 'ext4', boot.device, root);
  try {
    shutDown(root, 'noLogFlush', 'large/0');
  } finally {
    run('umount', root);
  }
  await boot.halt();
  return workshop.machine.takeDisks();
}
