import type { DiskEvent } from './disk-log.js';
import { Engine } from './engine.js';
import type { Disks } from './machine.js';
import { DISK_NUMBER } from './machine.js';
import type { Random } from './random.js';
import type { Letter } from './revisions.js';
import type { Workshop } from './workshop.js';

/** What reached the disks while a volume became one revision after the other. */
export interface Recording {
  /** The disks before. */
  disks: Disks;
  events: readonly DiskEvent[];
  /** The applies, in order. */
  phases: readonly Phase[];
  /** For each moment, how many changes each disk has not been told to flush. */
  pending: Record<keyof Disks, readonly number[]>;
}

/** One apply in a recording: events from `begin` up to `done`; then it had said that it was done. */
export interface Phase {
  /** Undefined where there was no revision known to be there. */
  from: Letter | undefined;
  to: Letter;
  begin: number;
  done: number;
  /** Where the next one begins, or the recording ends. */
  end: number;
}

/** Applies revisions one after the other, and records what reaches the disks. */
export async function record(
  workshop: Workshop,
  disks: Disks,
  from: Letter | undefined,
  letters: readonly Letter[],
): Promise<Recording> {
  const boot = await workshop.machine.boot(disks, { logged: true });
  const engine = new Engine(boot, workshop.store);
  for (const letter of letters) {
    boot.log!.mark('begin');
    await engine.apply(workshop.revisions[letter]);
    boot.log!.mark('done');
  }
  boot.log!.mark('begin');
  const events = await boot.halt();
  const places = (text: string): number[] =>
    events.flatMap((event, at) => (event.kind === 'mark' && event.text === text ? [at] : []));
  const [begins, dones] = [places('begin'), places('done')];
  const phases = letters.map((to, at): Phase => {
    const before = at === 0 ? from : letters[at - 1];
    return { from: before, to, begin: begins[at]!, done: dones[at]!, end: begins[at + 1]! };
  });
  return { disks, events, phases, pending: countPending(events) };
}

/** How often a moment is right after an apply has said that it is done. */
const AFTER_DONE = 0.08;
/** How often, of two moments, it is the one at which more can be lost. */
const MUCH_TO_LOSE = 0.8;

/** A moment of a phase, as a number of events that had happened. */
export function momentIn({ pending }: Recording, phase: Phase, random: Random): number {
  const { begin, done, end } = phase;
  if (random.chance(AFTER_DONE)) return done + 1 + random.below(end - done);
  const moments = [0, 1].map(() => begin + 1 + random.below(done - begin));
  const [one, other] = moments as [number, number];
  const most = (moment: number): number => Math.max(pending.state[moment]!, pending.volume[moment]!);
  return most(one) < most(other) && random.chance(MUCH_TO_LOSE) ? other : one;
}

/** The moment of a phase at which the volume's disk has the most to lose. */
export function fullestMoment({ pending: { volume } }: Recording, { begin, done }: Phase): number {
  let fullest = begin;
  for (let moment = begin; moment < done; moment++) if (volume[moment]! > volume[fullest]!) fullest = moment;
  return fullest;
}

function countPending(events: readonly DiskEvent[]): Record<keyof Disks, number[]> {
  const pending: Record<keyof Disks, number[]> = { state: [0], volume: [0] };
  for (const event of events) {
    for (const name of ['state', 'volume'] as const) {
      const before = pending[name].at(-1)!;
      const concerned = event.kind !== 'mark' && event.disk === DISK_NUMBER[name];
      pending[name].push(!concerned ? before : event.kind === 'flush' ? 0 : before + 1);
    }
  }
  return pending;
}
