import { BrokenPromise, examine } from './rig/examine.js';
import { DISK_NUMBER } from './rig/machine.js';
import { Random } from './rig/random.js';
import type { Recording } from './rig/record.js';
import { momentIn, record } from './rig/record.js';
import { Replay } from './rig/replay.js';
import type { Letter } from './rig/revisions.js';
import { LETTERS } from './rig/revisions.js';
import type { Workshop } from './rig/workshop.js';

/*
 * A volume and a state directory that are not of one time: one of them was restored from a backup, or is a copy's.
 * Then what is known is not what is there, and only the fingerprint shows that.
 */

const SERIES: readonly Letter[] = ['A', 'B', 'A', 'C'];

/** Tries as many pairs. Throws `BrokenPromise`. */
export async function tryRestored(
  workshop: Workshop,
  seed: number,
  pairs: number,
): Promise<Record<string, number>> {
  const random = new Random(seed);
  const recording = await record(workshop, workshop.machine.blankDisks(), undefined, SERIES);
  const found: Record<string, number> = {};
  for (let pair = 0; pair < pairs; pair++) {
    const moments = pairOf(recording, random);
    const next = random.pick(LETTERS);
    const about = `state of ${String(moments.state)}, volume of ${String(moments.volume)}, then ${next}`;
    const boot = await workshop.machine.boot({
      state: diskAt(recording, 'state', moments.state),
      volume: diskAt(recording, 'volume', moments.volume),
    });
    try {
      const expectation = {
        images: LETTERS,
        certain: false,
        foreign: true,
        // The state directory may be from before anything was known.
        unmade: true,
        interrupted: LETTERS,
      };
      const examination = await examine(workshop, boot, expectation, next, { askKernel: false });
      const key = `${examination.found}, ${examination.applied.result.scan}`;
      found[key] = (found[key] ?? 0) + 1;
    } catch (reason) {
      if (!(reason instanceof BrokenPromise)) throw reason;
      throw new BrokenPromise(`${about}: ${reason.message}`);
    }
    await boot.halt();
  }
  return found;
}

/** Moments of the two, at least one of which was at rest: then whoever made the copy did that with care. */
function pairOf(recording: Recording, random: Random): { state: number; volume: number } {
  const [one, other] = random.shuffled(recording.phases);
  const rest = one!.done + 1;
  const any = random.chance(0.5) ? other!.done + 1 : momentIn(recording, other!, random);
  return random.chance(0.5) ? { state: rest, volume: any } : { state: any, volume: rest };
}

function diskAt(recording: Recording, name: 'state' | 'volume', moment: number) {
  const replay = new Replay([recording.disks.state, recording.disks.volume], recording.events);
  replay.advance(moment);
  return replay.keep(DISK_NUMBER[name]);
}
