import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Entry } from '../../../src/image/entry.js';
import { dataSizeOf } from '../../../src/image/entry.js';
import { ImageUnpackerError } from '../../../src/image/error.js';
import { run } from '../../root/ext4-fixture.js';
import { kernelView } from '../../root/kernel-view.js';
import type { Applied } from './engine.js';
import { Engine } from './engine.js';
import type { Boot } from './machine.js';
import type { Letter, Revision } from './revisions.js';
import type { Workshop } from './workshop.js';

/*
 * What must be so of a machine whose power went, and of the next apply.
 */

/** A promise that was not kept. */
export class BrokenPromise extends Error {}

/** What may be found after the power went. */
export interface Expectation {
  /** The images that the volume may be called. */
  images: readonly Letter[];
  /** Whether it must be called the one image that is named. */
  certain: boolean;
  /** Whether somebody else may have written to the volume: then it is not sure that a crash is known of. */
  foreign?: boolean;
  /** Whether there may be no file system yet, or one of which nothing is known. */
  unmade: boolean;
  /** The images between which the interrupted work went. */
  interrupted: readonly Letter[];
}

/** What was found, and what it took to make it an image again. */
export interface Examination {
  found: 'clean' | 'doubtful' | 'unmade';
  applied: Applied;
}

/** What e2fsck reads, all inode tables at worst, and what the file system takes whatever was changed. */
const FIXED_BYTES = 5 << 20;

/** Examines a machine after a crash: what is known of its volume, and that the next apply makes it `next`. */
export async function examine(
  workshop: Workshop,
  boot: Boot,
  expectation: Expectation,
  next: Letter,
  { askKernel }: { askKernel: boolean },
): Promise<Examination> {
  const engine = new Engine(boot, workshop.store);
  engine.checkStateFiles();
  const found = await examineCondition(workshop, engine, expectation);
  boot.requireFree();
  const applied = await engine.apply(workshop.revisions[next]);
  if (expectation.foreign !== true) checkScan(found, applied);
  if (found === 'doubtful' && !expectation.unmade && expectation.foreign !== true)
    checkCost(workshop, expectation, next, applied);
  await requireExact(engine, workshop.revisions[next], 'after the next apply');
  if (askKernel) compareWithKernel(boot, workshop.revisions[next]);
  const after = await engine.condition();
  if (after.kind !== 'clean') throw new BrokenPromise(`The volume is ${after.kind} after the next apply`);
  return { found, applied };
}

async function examineCondition(
  workshop: Workshop,
  engine: Engine,
  { images, certain, unmade, foreign }: Expectation,
): Promise<Examination['found']> {
  const condition = await engine.condition();
  switch (condition.kind) {
    case 'clean': {
      const letter = images.find(each => workshop.revisions[each].record.name === condition.image.name);
      if (letter === undefined)
        throw new BrokenPromise(`The volume is called ${condition.image.name}, which it cannot be`);
      await requireExact(engine, workshop.revisions[letter], 'although the volume is called clean');
      return 'clean';
    }
    case 'doubtful':
      if (certain) throw new BrokenPromise('An apply had said that it was done, and the volume is doubtful');
      if (foreign !== true && !/interrupted/.test(condition.why))
        throw new BrokenPromise(`Work was interrupted, but it is said: ${condition.why}`);
      await requireRefusal(engine, workshop, 'VOLUME_DOUBTFUL');
      return 'doubtful';
    case 'none':
    case 'unknown':
      if (!unmade) throw new BrokenPromise('Nothing is known any more of the volume');
      await requireRefusal(engine, workshop, 'VOLUME_UNKNOWN');
      return 'unmade';
  }
}

/** A volume that is not known to be clean is not captured, and nothing is left of the attempt. */
async function requireRefusal(engine: Engine, { machine }: Workshop, code: string): Promise<void> {
  const out = join(machine.directory, 'captured');
  try {
    await engine.capture(out);
  } catch (reason) {
    if (!(reason instanceof ImageUnpackerError) || reason.code !== code) throw reason;
    if (existsSync(out)) throw new BrokenPromise('A capture that was refused left a file');
    return;
  }
  throw new BrokenPromise('A volume that is not known to be clean was captured');
}

function checkScan(found: Examination['found'], { result, steps, programs }: Applied): void {
  const { scan } = result;
  const expected = { clean: ['none'], doubtful: ['repair'], unmade: ['none', 'full'] }[found];
  if (!expected.includes(scan))
    throw new BrokenPromise(`The volume was ${found}, and the scan was "${scan}"`);
  if (found !== 'doubtful') return;
  const scans = steps.filter(step => step === 'Scanning the volume').length;
  const checks = repairsOf(programs);
  // What e2fsck leaves without a name takes it once more.
  if (scans === checks && checks >= 1 && checks <= 2) return;
  throw new BrokenPromise(`A repair took ${String(scans)} scans and ${String(checks)} runs of e2fsck`);
}

/** How often it was repaired. */
export function repairsOf(programs: readonly string[]): number {
  return programs.filter(program => program === 'e2fsck').length;
}

/**
 * The work of a repair is in proportion to the change that was interrupted, and the one that is made: no file is read
 * that is in neither. One that is gets read to be hashed, to be compared, and to be rewritten in place, of which
 * little is then written.
 */
function checkCost(workshop: Workshop, { interrupted }: Expectation, next: Letter, applied: Applied): void {
  const trees = [...new Set([...interrupted, next])].map(letter => workshop.revisions[letter].entries);
  const touched = touchedBytes(trees);
  const limits = [
    ['read', applied.bytesRead, 3 * touched + FIXED_BYTES],
    ['written', applied.result.bytesWritten, touched / 2 + FIXED_BYTES],
  ] as const;
  for (const [what, bytes, once] of limits) {
    const limit = once * repairsOf(applied.programs);
    if (bytes > limit) {
      const change = `the files that it is about have ${String(touched)}`;
      throw new BrokenPromise(`A repair has ${what} ${String(bytes)} bytes, where ${change}`);
    }
  }
}

/** The data of the files that are not the same in all of some trees: of each path that of the largest. */
function touchedBytes(trees: readonly (readonly Entry[])[]): number {
  const files = new Map<string, { contents: Set<string>; times: number; largest: number }>();
  for (const entry of trees.flat()) {
    if (entry.type !== 'file') continue;
    const path = entry.path.toString('latin1');
    const file = files.get(path) ?? { contents: new Set<string>(), times: 0, largest: 0 };
    file.contents.add(`${entry.digest?.toString('hex') ?? ''} ${String(entry.size)}`);
    file.largest = Math.max(file.largest, Number(dataSizeOf(entry.size, entry.holes)));
    files.set(path, { ...file, times: file.times + 1 });
  }
  const touched = [...files.values()].filter(
    ({ contents, times }) => contents.size > 1 || times < trees.length,
  );
  return touched.reduce((sum, { largest }) => sum + largest, 0);
}

async function requireExact(engine: Engine, revision: Revision, when: string): Promise<void> {
  const { identical, differences } = await engine.check(revision);
  if (identical) return;
  const all = differences.map(({ path, what, detail }) => `${path}: ${what} ${detail ?? ''}`);
  throw new BrokenPromise(`The volume is not exactly ${revision.letter} ${when}:\n${all.join('\n')}`);
}

/** The same once more by the kernel's own reading. */
function compareWithKernel(boot: Boot, { entries, letter }: Revision): void {
  const root = `${boot.stateDirectory}.seen`;
  mkdirSync(root, { recursive: true });
  run('mount', '-t', 'ext4', '-o', 'ro,noload', boot.device, root);
  try {
    const seen = kernelView(root).filter(({ path }) => path.toString() !== 'lost+found');
    const first = entries.findIndex((entry, at) => !isDeepStrictEqual(seen[at], entry));
    if (first < 0 && seen.length === entries.length) return;
    throw new BrokenPromise(`The kernel sees another tree than ${letter} at ${String(entries[first]?.path)}`);
  } finally {
    run('umount', root);
  }
}
