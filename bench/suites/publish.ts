import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ImageUnpackerError } from '../../src/image/error.js';
import { showCount } from '../../src/cli/show.js';
import { accessKey } from '../../test/simulator/sts.js';
import { runCommand } from '../run-command.js';
import type { Attempt, Contestant, Task } from '../task.js';
import type { Workshop } from '../workshop.js';

const BASE = 'bare PUT loop';
const STOP_MILLISECONDS = 10_000;
const LONGEST_MILLISECONDS = 15 * 60_000;

/** What a publication and a loop print. */
interface Report {
  seconds: number;
  cpu: number;
  memory: number;
  blocks: number;
  failed?: number;
  failure?: string | null;
  digests?: number;
}

/**
 * Publishing by EBS direct to the simulator of AWS, with the latencies of AWS, both of them on this machine. Blocks are
 * made as they are asked for, so that nothing is unpacked.
 */
export function publishSuite(workshop: Workshop): Task[] {
  const task = (title: string, leaf: string, targets: number): Task => ({
    title,
    base: BASE,
    contestants: [publisher(workshop, leaf, targets), putLoop(workshop, leaf, targets)],
  });
  return [
    task('publish 5 % of 2 GiB, 20 targets', 'after', 20),
    task('publish all of 2 GiB, 1 target', 'whole', 1),
    task('publish 5 % of 2 GiB, 200 targets', 'after', 200),
  ];
}

function publisher(workshop: Workshop, leaf: string, targets: number): Contestant {
  const attempt = () =>
    withSimulator(workshop, async (simulator, directory) => {
      const run = (image: string): Promise<Report> =>
        runScript(workshop, 'publisher', [directory, image, String(targets)], simulator.environment);
      if (leaf === 'after') checkAll(await run('before'));
      await simulator.ask('an hour later');
      const report = checkAll(await run(leaf));
      const { refused } = await simulator.ask('');
      const sent = `${showCount(report.blocks)} blocks sent`;
      return attemptOf(report, `${sent}, ${String(refused)} calls refused as too many`);
    });
  return { tool: 'ami-publisher, direct', attempt };
}

function putLoop(workshop: Workshop, leaf: string, targets: number): Contestant {
  const attempt = () =>
    withSimulator(workshop, async simulator => {
      const words = [simulator.url, leaf, String(targets)];
      const report = await runScript(workshop, 'put-loop', words, simulator.environment);
      return attemptOf(report, `${showCount(report.blocks)} blocks sent`);
    });
  return { tool: BASE, attempt };
}

function attemptOf({ seconds, cpu, memory }: Report, result: string): Attempt {
  return { cost: { wall: seconds, cpu, memory, written: null, blocks: null }, result };
}

function checkAll(report: Report): Report {
  const { failed = 0, failure, digests } = report;
  if (failed === 0 && digests === 1) return report;
  throw new ImageUnpackerError(
    'TOOL_FAILED',
    `${String(failed)} targets failed: ${failure ?? 'other disks'}`,
  );
}

async function runScript(
  { signal }: Workshop,
  script: string,
  words: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<Report> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(LONGEST_MILLISECONDS)]);
  const { output } = await runCommand([process.execPath, await packed(script), ...words], {
    signal: limit,
    environment,
  });
  return JSON.parse(output.toString()) as Report;
}

const PACKED: Record<string, Promise<string>> = {};

/** The file of a script that is packed as the programs are, so that no compiler takes part in what is measured. */
function packed(name: string): Promise<string> {
  return (PACKED[name] ??= pack(name));
}

async function pack(name: string): Promise<string> {
  const { build } = await import('esbuild');
  const outfile = fileURLToPath(new URL(`../../dist/bench/${name}.mjs`, import.meta.url));
  await build({
    entryPoints: [fileURLToPath(new URL(`../publish/${name}.ts`, import.meta.url))],
    outfile,
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'node20',
    format: 'esm',
    logLevel: 'warning',
  });
  return outfile;
}

interface Simulator {
  url: string;
  environment: Record<string, string>;
  ask(line: string): Promise<{ refused: number }>;
}

/** Does `work` with a simulator of its own and an empty directory, and ends both. */
async function withSimulator<T>(
  { directory: parent }: Workshop,
  work: (simulator: Simulator, directory: string) => Promise<T>,
): Promise<T> {
  await mkdir(parent, { recursive: true });
  const directory = await mkdtemp(join(parent, 'publish-'));
  const child = spawn(process.execPath, [await packed('simulate')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async (): Promise<string> => {
      const line: IteratorResult<string, unknown> = await lines.next();
      if (line.done !== true) return line.value;
      throw new ImageUnpackerError('TOOL_FAILED', 'The simulator of AWS has ended');
    };
    const url = await next();
    const ask = async (line: string) => {
      child.stdin.write(`${line}\n`);
      return JSON.parse(await next()) as { refused: number };
    };
    return await work({ url, environment: environmentOf(url), ask }, directory);
  } finally {
    await stop(child);
    await rm(directory, { recursive: true });
  }
}

function environmentOf(url: string): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: url,
    AWS_ACCESS_KEY_ID: accessKey('999900001111'),
    AWS_SECRET_ACCESS_KEY: 'secret',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.stdin?.end();
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MILLISECONDS);
  await ended;
  clearTimeout(timer);
}
