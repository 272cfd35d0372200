import { tryFailingDisk } from './failing-disk.js';
import { tryForeignCrash } from './foreign-crash.js';
import { tryHeldMount } from './held-mount.js';
import { tryKillsAtSteps, tryKillsAtTimes } from './kills.js';
import { tryRestored } from './restored.js';
import { trySeries, tryThereAndBack } from './series.js';
import { tryShutdown } from './shutdown.js';
import type { Workshop } from './rig/workshop.js';

/** Tries something as often as it is told, all of it chosen by the seed; resolves to what it came to. */
export type Scenario = (workshop: Workshop, seed: number, count: number) => Promise<object>;

export const SCENARIOS = {
  series: trySeries,
  'there and back': tryThereAndBack,
  restored: tryRestored,
  'failing disk': tryFailingDisk,
  'foreign crash': tryForeignCrash,
  shutdown: tryShutdown,
  'kills at steps': tryKillsAtSteps,
  'kills at times': tryKillsAtTimes,
  'held mount': tryHeldMount,
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;
