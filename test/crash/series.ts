import type { Examination, Expectation } from './rig/examine.js';
import { BrokenPromise, examine, repairsOf } from './rig/examine.js';
import type { Disks } from './rig/machine.js';
import { DISK_NUMBER } from './rig/machine.js';
import { Random } from './rig/random.js';
import type { Phase, Recording } from './rig/record.js';
import { fullestMoment, momentIn, record } from './rig/record.js';
import type { Loss } from './rig/replay.js';
import { NOTHING_LOST, Replay } from './rig/replay.js';
import type { Letter } from './rig/revisions.js';
import { LETTERS } from './rig/revisions.js';
import type { Workshop } from './rig/workshop.js';

/*
 * A → B → A → C, recorded, and then the power goes at many moments of it. All that is chosen comes from the seed:
 * the trees, the moments, what the disks lose, and what is unpacked next. Now and then that next apply is recorded as
 * well, and the power goes in the middle of the repair.
 */

const SERIES: readonly Letter[] = ['A', 'B', 'A', 'C'];
const SECTOR_BYTES = 512;
/** The state directory's file system is not ours to test: its blocks are not torn. */
const STATE_SECTOR_BYTES = 4096;
const ASK_KERNEL = 0.05;
const CRASH_AGAIN = 0.08;
/** How many moments of a repair are tried once it is recorded. */
const MOMENTS_OF_REPAIR = 3;

/** What a series came to. */
export interface SeriesFigures {
  points: number;
  /** Points at which a disk lost something that had been written. */
  withLoss: number;
  /** Points in a repair. */
  inRepair: number;
  found: Record<string, number>;
  scans: Record<string, number>;
  losses: Record<string, number>;
  /** Repairs that took e2fsck twice. */
  repairedTwice: number;
  seconds: number;
}

/** Where the power goes, and what happens then. */
interface Point {
  phase: Phase;
  moment: number;
  loss: { state: Loss; volume: Loss };
  next: Letter;
  askKernel: boolean;
  /** Whether the power goes once more while that is repaired: anywhere, or so that what follows is to go back. */
  again: 'no' | 'anywhere' | 'back';
  random: Random;
}

/** Told each point, as a line. */
type Log = (line: string) => void;

/**
 * Tries so many moments of a series; those of repairs come on top. Throws `BrokenPromise` at the first at which
 * something is not as it must be.
 */
export async function trySeries(
  workshop: Workshop,
  seed: number,
  count: number,
  log?: Log,
): Promise<SeriesFigures> {
  return new Series(workshop, seed, 0.05, log).run(count);
}

/**
 * The same where it is the hardest: data has arrived, and what tells of it has not; a repair finds that data right,
 * and is interrupted; and then it is to go again.
 */
export async function tryThereAndBack(
  workshop: Workshop,
  seed: number,
  count: number,
  log?: Log,
): Promise<SeriesFigures> {
  return new Series(workshop, seed, 1, log).run(count);
}

class Series {
  readonly figures: Omit<SeriesFigures, 'seconds'> = {
    points: 0,
    withLoss: 0,
    inRepair: 0,
    found: {},
    scans: {},
    losses: {},
    repairedTwice: 0,
  };
  readonly #workshop: Workshop;
  readonly #random: Random;
  readonly #thereAndBack: number;
  readonly #log: Log;

  constructor(workshop: Workshop, seed: number, thereAndBack: number, log: Log = () => undefined) {
    this.#workshop = workshop;
    this.#random = new Random(seed);
    this.#thereAndBack = thereAndBack;
    this.#log = log;
  }

  async run(points: number): Promise<SeriesFigures> {
    const began = performance.now();
    const disks = this.#workshop.machine.blankDisks();
    const recording = await record(this.#workshop, disks, undefined, SERIES);
    const chosen = Array.from({ length: points }, () => {
      const isHard = this.#random.chance(this.#thereAndBack);
      const random = this.#random.fork();
      return isHard ? this.#chooseHard(recording, random) : this.#choose(recording, random);
    });
    await this.#replay(recording, chosen, expectationOf, 'series');
    return { ...this.figures, seconds: (performance.now() - began) / 1000 };
  }

  /** A point of a recording; what is unpacked next is `back` more often than others. */
  #choose(recording: Recording, random: Random, back?: Letter): Point {
    const phase = random.pick(recording.phases);
    const loss = { state: lossOf(random, STATE_SECTOR_BYTES), volume: lossOf(random, SECTOR_BYTES) };
    // Going back trusts the most in what was known before the crash.
    const next = random.pick([phase.to, back ?? phase.from ?? phase.to, random.pick(LETTERS)]);
    const askKernel = random.chance(ASK_KERNEL);
    const again = random.chance(CRASH_AGAIN) ? 'anywhere' : 'no';
    return { phase, moment: momentIn(recording, phase, random), loss, next, askKernel, again, random };
  }

  /** A point at which much data has arrived, and little of what tells of it. */
  #chooseHard(recording: Recording, random: Random): Point {
    const phase = random.pick(recording.phases.filter(({ from }) => from !== undefined));
    const volume: Loss = { ...NOTHING_LOST, kind: 'falling', kept: 0.4 + 0.4 * random.next() };
    const moment = fullestMoment(recording, phase);
    const loss = { state: NOTHING_LOST, volume };
    return { phase, moment, loss, next: phase.to, askKernel: false, again: 'back', random };
  }

  /** A point of the repair after that, once it has begun to write; then it is to go back. */
  #chooseBack(recording: Recording, random: Random, back: Letter): Point {
    const phase = recording.phases[0]!;
    const length = phase.done - phase.begin;
    const moment = phase.begin + Math.round(length * (0.35 + 0.6 * random.next()));
    const loss = { state: NOTHING_LOST, volume: lossOf(random, SECTOR_BYTES) };
    return { phase, moment, loss, next: back, askKernel: false, again: 'no', random };
  }

  async #replay(
    recording: Recording,
    points: readonly Point[],
    expect: (phase: Phase, moment: number) => Expectation,
    where: string,
  ): Promise<void> {
    const replay = new Replay([recording.disks.state, recording.disks.volume], recording.events);
    for (const point of [...points].sort((a, b) => a.moment - b.moment)) {
      replay.advance(point.moment);
      const state = replay.lose(DISK_NUMBER.state, point.loss.state, point.random);
      const volume = replay.lose(DISK_NUMBER.volume, point.loss.volume, point.random);
      const disks = { state: state.left, volume: volume.left };
      await this.#crash(disks, point, expect(point.phase, point.moment), where, state.lost || volume.lost);
    }
  }

  async #crash(
    disks: Disks,
    point: Point,
    expectation: Expectation,
    where: string,
    loss: boolean,
  ): Promise<void> {
    const about = describe(point, where);
    try {
      const { found, applied } = await this.#examine(disks, point, expectation);
      this.#count(point, found, applied.result.scan, loss);
      if (repairsOf(applied.programs) > 1) this.figures.repairedTwice++;
      this.#log(`${about}: ${found}, then ${point.next} by ${applied.result.scan}`);
      if (point.again !== 'no' && found !== 'clean' && where === 'series')
        await this.#crashAgain(disks, point, expectation);
    } catch (reason) {
      this.#workshop.machine.keep(disks);
      const message = `${about}: ${(reason as Error).message}`;
      throw reason instanceof BrokenPromise
        ? new BrokenPromise(message, { cause: reason })
        : new Error(message, { cause: reason });
    }
  }

  async #examine(disks: Disks, { next, askKernel }: Point, expectation: Expectation): Promise<Examination> {
    const boot = await this.#workshop.machine.boot(disks);
    const examination = await examine(this.#workshop, boot, expectation, next, { askKernel });
    await boot.halt();
    return examination;
  }

  /** The same crash once more, and then another one while it is repaired. */
  async #crashAgain(disks: Disks, { next, phase, again }: Point, first: Expectation): Promise<void> {
    const recording = await record(this.#workshop, disks, undefined, [next]);
    const points = Array.from({ length: MOMENTS_OF_REPAIR }, () => {
      const random = this.#random.fork();
      return again === 'back'
        ? this.#chooseBack(recording, random, phase.from!)
        : this.#choose(recording, random, phase.from);
    });
    const interrupted = [...new Set([...first.interrupted, next])];
    const expect = (repair: Phase, moment: number): Expectation => ({
      images: [next],
      certain: moment > repair.done,
      unmade: first.unmade && moment <= repair.done,
      interrupted,
    });
    await this.#replay(recording, points, expect, `repair after ${phase.from ?? 'nothing'} → ${phase.to}`);
    this.figures.inRepair += points.length;
  }

  #count({ loss }: Point, found: string, scan: string, lost: boolean): void {
    this.figures.points++;
    if (lost) this.figures.withLoss++;
    add(this.figures.found, found);
    add(this.figures.scans, scan);
    add(this.figures.losses, loss.volume.kind);
  }
}

function expectationOf({ from, to, done }: Phase, moment: number): Expectation {
  const certain = moment > done;
  const images = certain || from === undefined ? [to] : [from, to];
  return {
    images,
    certain,
    unmade: from === undefined && !certain,
    interrupted: from === undefined ? [to] : [from, to],
  };
}

function lossOf(random: Random, sector: number): Loss {
  const kind = random.pick(['none', 'dropped', 'dropped', 'rising', 'falling', 'torn', 'torn'] as const);
  const kept = random.pick([0, random.next(), random.next(), random.next()]);
  return { kind, kept, sector };
}

function describe({ phase, moment, loss }: Point, where: string): string {
  const of = ({ kind, kept }: Loss): string => (kind === 'none' ? kind : `${kind} ${kept.toFixed(2)}`);
  const { from = 'nothing', to, begin, done } = phase;
  const at = `${String(moment - begin)} of ${String(done - begin)} events of ${from} → ${to}`;
  return `${where}, ${at}, state ${of(loss.state)}, volume ${of(loss.volume)}`;
}

function add(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}
