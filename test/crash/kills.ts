import { join } from 'node:path';
import type { Ending, Program } from './rig/dying-program.js';
import { countSteps, dieAfter, dieAtStep } from './rig/dying-program.js';
import { Engine } from './rig/engine.js';
import { BrokenPromise, examine } from './rig/examine.js';
import type { Boot } from './rig/machine.js';
import { Random } from './rig/random.js';
import type { Letter } from './rig/revisions.js';
import { requireNoTraces } from './rig/traces.js';
import type { Workshop } from './rig/workshop.js';

/*
 * `image-unpacker apply` killed at its steps, those of its plan among them, and at any time.
 */

/** How often a repair is killed as well. */
const KILL_AGAIN = 0.2;
/** So much of the time of an apply passes before it can have begun to write, at the least. */
const START_SHARE = 0.7;
const LONGEST_MILLISECONDS = 60_000;

/** What the kills of a program came to. */
export interface KillFigures {
  /** The steps that the program has, on its way from A to B. */
  steps: number;
  kills: number;
  found: Record<string, number>;
}

/** Kills an apply at so many of its steps, or at all of them. Throws `BrokenPromise`. */
export async function tryKillsAtSteps(workshop: Workshop, seed: number, count: number): Promise<KillFigures> {
  const kills = await Kills.begin(workshop, new Random(seed));
  const chosen = kills.random
    .shuffled(Array.from({ length: kills.figures.steps }, (_, step) => step))
    .slice(0, count);
  for (const step of chosen) await kills.kill(program => dieAtStep(program, step), `step ${String(step)}`);
  return kills.end();
}

/** Kills an apply at so many times. Throws `BrokenPromise`. */
export async function tryKillsAtTimes(workshop: Workshop, seed: number, count: number): Promise<KillFigures> {
  const kills = await Kills.begin(workshop, new Random(seed));
  for (let kill = 0; kill < count; kill++) {
    // A program first starts, and writes only in the end.
    const time = (START_SHARE + (1 - START_SHARE) * kills.random.next()) * kills.milliseconds;
    await kills.kill(program => dieAfter(program, time), `${time.toFixed(0)} ms`);
  }
  return kills.end();
}

class Kills {
  readonly figures: KillFigures = { steps: 0, kills: 0, found: {} };
  readonly random: Random;
  /** How long an apply takes. */
  milliseconds = 0;
  readonly #workshop: Workshop;
  readonly #boot: Boot;
  readonly #killed: number[] = [];
  #there: Letter = 'A';

  private constructor(workshop: Workshop, boot: Boot, random: Random) {
    this.#workshop = workshop;
    this.#boot = boot;
    this.random = random;
  }

  static async begin(workshop: Workshop, random: Random): Promise<Kills> {
    const boot = await workshop.machine.boot(workshop.machine.blankDisks());
    const engine = new Engine(boot, workshop.store);
    const kills = new Kills(workshop, boot, random);
    await engine.apply(workshop.revisions.A);
    kills.figures.steps = await countSteps(kills.#program('B'));
    await engine.apply(workshop.revisions.A);
    const began = performance.now();
    await dieAfter(kills.#program('B'), LONGEST_MILLISECONDS);
    kills.milliseconds = performance.now() - began;
    await engine.apply(workshop.revisions.A);
    return kills;
  }

  async kill(dying: (program: Program) => Promise<Ending>, when: string): Promise<void> {
    const wanted: Letter = this.#there === 'A' ? 'B' : 'A';
    const images: Letter[] = [this.#there, wanted];
    let ending = await dying(this.#program(wanted));
    if (ending.killed && this.random.chance(KILL_AGAIN)) ending = await dying(this.#program(wanted));
    this.#there = this.random.pick(images);
    const certain = !ending.killed;
    const expectation = { images: certain ? [wanted] : images, certain, unmade: false, interrupted: images };
    try {
      const { found } = await examine(this.#workshop, this.#boot, expectation, this.#there, {
        askKernel: false,
      });
      this.figures.found[found] = (this.figures.found[found] ?? 0) + 1;
    } catch (reason) {
      if (!(reason instanceof BrokenPromise)) throw new Error(`killed at ${when}`, { cause: reason });
      throw new BrokenPromise(`An apply of ${wanted} was killed at ${when}: ${reason.message}`);
    }
    if (!ending.killed) return;
    this.figures.kills++;
    this.#killed.push(ending.pid);
  }

  async end(): Promise<KillFigures> {
    // Whatever is there, this writes.
    const engine = new Engine(this.#boot, this.#workshop.store);
    for (const letter of ['C', 'A'] as const) await engine.apply(this.#workshop.revisions[letter]);
    requireNoTraces(this.#killed);
    await this.#boot.halt();
    return this.figures;
  }

  #program(letter: Letter): Program {
    const { device, stateDirectory } = this.#boot;
    const image = this.#workshop.revisions[letter].record.name;
    const store = join(this.#workshop.machine.directory, 'store');
    const places = ['--device', device, '--store', store, '--state-dir', stateDirectory];
    return { name: 'image-unpacker', parameters: ['apply', '--image', image, ...places, '--json'] };
  }
}
