// `npm run bench [-- SUITE… --only TEXT --runs N --data DIR --plots DIR --synthetic --json]`: see docs/performance.md.
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { exitCodeOf } from '../src/cli/exit-code.js';
import { abortWhenInterrupted } from '../src/cli/interrupt.js';
import { ImageUnpackerError } from '../src/image/error.js';
import type { TreeName } from './data/prepare.js';
import { prepareData } from './data/prepare.js';
import type { Plot } from './plot.js';
import { drawPlot } from './plot.js';
import { mediansOf, showScores } from './report.js';
import { agentSuite } from './suites/agent.js';
import { applySuite, manySuite, otherSuite } from './suites/apply.js';
import { buildSuite } from './suites/build.js';
import { captureSuite } from './suites/capture.js';
import { checkSuite } from './suites/check.js';
import { diffSuite } from './suites/diff.js';
import { firstSuite } from './suites/first.js';
import { imageServerSuite } from './suites/imageserver.js';
import { parallelSuite, publishSuite } from './suites/publish.js';
import { plotScale, scaleSuite } from './suites/scale.js';
import { scanSuite } from './suites/scan.js';
import { plotSeries, seriesSuite } from './suites/series.js';
import { startSuite } from './suites/start.js';
import type { Suite, TaskScores } from './task.js';
import { runTask } from './task.js';
import { makeBlankFile, usesDirectIo, withDevice } from './volume.js';
import { Workshop } from './workshop.js';

interface SuiteEntry {
  suite: Suite;
  trees: readonly TreeName[];
  plot?: (tasks: readonly TaskScores[]) => Plot;
}

const SUITES: Readonly<Record<string, SuiteEntry>> = {
  apply: { suite: applySuite, trees: ['A', 'B', 'C'] },
  other: { suite: otherSuite, trees: ['D', 'E'] },
  many: { suite: manySuite, trees: ['S0', 'S1', 'T0', 'T1', 'U0', 'U1'] },
  scale: { suite: scaleSuite, trees: ['G1', 'H1', 'G2', 'H2', 'G4', 'H4'], plot: plotScale },
  series: { suite: seriesSuite, trees: ['A'], plot: plotSeries },
  scan: { suite: scanSuite, trees: ['S0'] },
  first: { suite: firstSuite, trees: ['A'] },
  build: { suite: buildSuite, trees: ['A'] },
  check: { suite: checkSuite, trees: ['A'] },
  capture: { suite: captureSuite, trees: ['A'] },
  diff: { suite: diffSuite, trees: [] },
  start: { suite: startSuite, trees: ['A'] },
  publish: { suite: publishSuite, trees: [] },
  parallel: { suite: parallelSuite, trees: [] },
  agent: { suite: agentSuite, trees: ['A'] },
  imageserver: { suite: imageServerSuite, trees: ['A', 'B'] },
};

interface Call {
  suites: string[];
  /** What the titles of the tasks contain that are done. */
  only: string;
  runs: number;
  data: string;
  /** Where to draw what can be drawn. */
  plots?: string | undefined;
  synthetic: boolean;
  json: boolean;
}

const NAMES = Object.keys(SUITES);

const OPTIONS = {
  only: { type: 'string', default: '' },
  runs: { type: 'string', default: '3' },
  data: { type: 'string', default: process.env['BENCH_DATA'] ?? join(tmpdir(), 'image-bench') },
  plots: { type: 'string' },
  synthetic: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

function parseCall(): Call {
  const { values, positionals } = parseWords();
  const unknown = positionals.find(name => SUITES[name] === undefined);
  if (unknown !== undefined) {
    throw new ImageUnpackerError('USAGE', `There is no suite ${unknown}; the suites are ${NAMES.join(', ')}`);
  }
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) {
    throw new ImageUnpackerError('USAGE', `--runs ${values.runs} is not a number of runs`);
  }
  return { ...values, suites: positionals.length === 0 ? NAMES : positionals, runs };
}

function parseWords() {
  try {
    return parseArgs({ allowPositionals: true, options: OPTIONS });
  } catch (reason) {
    throw new ImageUnpackerError('USAGE', (reason as Error).message);
  }
}

/** Throws `NOT_ROOT` unless there can be loop devices here. */
async function checkMachine(): Promise<void> {
  const { loopDeviceFault } = (await import(
    new URL('../scripts/loop-devices.mjs', import.meta.url).href
  )) as { loopDeviceFault(this: void): string | undefined };
  const fault = loopDeviceFault();
  if (fault === undefined) return;
  throw new ImageUnpackerError('NOT_ROOT', `The benchmark needs root and loop devices: ${fault}`);
}

async function main({ suites, only, runs, data: place, plots, synthetic, json }: Call): Promise<void> {
  await checkMachine();
  const signal = abortWhenInterrupted(process, say);
  const trees = new Set(suites.flatMap(name => SUITES[name]!.trees));
  const data = await prepareData(place, [...trees], { synthetic, signal, say });
  const workshop = await Workshop.open(data, signal, say);
  const results: TaskScores[] = [];
  try {
    const machine = await describeMachine(workshop);
    if (!json) console.log(`${machine}; ${data.origin}; medians of ${String(runs)}\n`);
    for (const name of suites) {
      const { suite, plot } = SUITES[name]!;
      const tasks: TaskScores[] = [];
      for (const task of (await suite(workshop)).filter(({ title }) => title.includes(only))) {
        const scores = await runTask(task, runs, say);
        if (!json) console.log(showScores(scores));
        tasks.push(scores);
      }
      if (plot !== undefined && plots !== undefined && tasks.length > 0) await draw(plots, name, plot(tasks));
      results.push(...tasks);
    }
    if (results.length === 0)
      throw new ImageUnpackerError('USAGE', `No task of ${suites.join(', ')} has "${only}" in its title`);
    if (json) console.log(JSON.stringify({ machine, data: data.origin, tasks: results.map(withMedians) }));
  } finally {
    await workshop.close();
  }
}

async function draw(directory: string, name: string, plot: Plot): Promise<void> {
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, `${name}.svg`), drawPlot(plot));
}

async function describeMachine(workshop: Workshop): Promise<string> {
  const file = workshop.path('blank');
  await makeBlankFile(file, 1 << 20);
  const direct = await withDevice(file, workshop.signal, usesDirectIo);
  const kind = direct ? 'with direct I/O' : 'WITHOUT direct I/O';
  const processors = `${String(cpus().length)} processors (${cpus()[0]?.model ?? 'unknown'})`;
  return `${processors}, Linux ${release()}, loop devices ${kind}, load ${loadavg()[0]!.toFixed(1)} before`;
}

function withMedians({ title, base, scores }: TaskScores) {
  return {
    title,
    base,
    tools: scores.map(score => ({ ...score, medians: mediansOf(score.costs) ?? null })),
  };
}

function say(text: string): void {
  console.error(text);
}

try {
  await main(parseCall());
} catch (reason) {
  const error = ImageUnpackerError.from(reason, 'The benchmark failed');
  say(error.message);
  process.exitCode = exitCodeOf(error.code);
}
