import { closeSync, mkdirSync, openSync } from 'node:fs';
import { ImageUnpackerError } from '../../src/image/error.js';
import { run } from '../root/ext4-fixture.js';
import { Engine } from './rig/engine.js';
import { BrokenPromise, examine } from './rig/examine.js';
import { intercepting } from './rig/intercept.js';
import type { Letter } from './rig/revisions.js';
import type { Workshop } from './rig/workshop.js';

/*
 * Somebody holds the mount that an apply has made, so that it is not gone when the apply has closed it. The volume
 * must not be called clean then.
 */

/** Tries a mount for reading and one for writing. Throws `BrokenPromise`. */
export async function tryHeldMount(workshop: Workshop): Promise<object> {
  const boot = await workshop.machine.boot(workshop.machine.blankDisks());
  const engine = new Engine(boot, workshop.store);
  await engine.apply(workshop.revisions.A);
  // Somebody has the volume mounted and changes a ctime only: then the kernel is asked what is there, and nothing has to be written.
  const root = `${boot.stateDirectory}.foreign`;
  mkdirSync(root);
  run('mount', '-t', 'ext4', boot.device, root);
  run('chmod', '--reference', root, root);
  run('umount', root);
  await holding(workshop, engine, 'scanPaths', 'A', () => boot.requireFree());
  await holding(workshop, engine, 'runBatch', 'B', () => boot.requireFree());
  const expectation = { images: [], certain: false, unmade: false, interrupted: ['A', 'B'] as const };
  await examine(workshop, boot, expectation, 'B', { askKernel: false });
  await boot.halt();
  return {};
}

/** Applies a revision, and holds the mount from that call of the addon on. */
async function holding(
  { revisions }: Workshop,
  engine: Engine,
  call: 'scanPaths' | 'runBatch',
  letter: Letter,
  requireFree: () => void,
): Promise<void> {
  let held: number | undefined;
  try {
    await intercepting(
      call,
      (original, mounted, ...rest) => {
        held ??= openSync(`/proc/self/fd/${String(mounted)}`, 'r');
        return original(mounted, ...rest);
      },
      () => engine.apply(revisions[letter]),
    );
    requireFree();
    throw new Error(`${letter} was applied without ${call}`);
  } catch (reason) {
    if (reason instanceof ImageUnpackerError && reason.code === 'DEVICE_IN_USE') return;
    if ((reason as NodeJS.ErrnoException).code !== 'EBUSY') throw reason;
    throw new BrokenPromise(`${letter} was applied, and the volume is still mounted`);
  } finally {
    if (held !== undefined) closeSync(held);
  }
}
