import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ImageUnpackerError } from '../../src/image/error.js';
import { accessKey } from '../../test/simulator/sts.js';
import { packed } from '../packed.js';
import { runCommand } from '../run-command.js';
import type { Workshop } from '../workshop.js';

/* The processes that take part in a publication: the simulator of AWS, and the scripts of this folder. */

const STOP_MILLISECONDS = 10_000;
const LONGEST_MILLISECONDS = 15 * 60_000;

/** What a publication and a loop print. */
export interface Report {
  seconds: number;
  cpu: number;
  memory: number;
  blocks: number;
  failed?: number;
  failure?: string | null;
  digests?: number;
}

/** Runs a script with these words to its end; aborting `signal` stops it. Throws `TOOL_FAILED`, `CANCELLED`. */
export async function runScript(
  signal: AbortSignal,
  { environment }: Pick<Simulator, 'environment'>,
  [script, ...words]: readonly [string, ...string[]],
): Promise<Report> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(LONGEST_MILLISECONDS)]);
  const { output } = await runCommand([process.execPath, await packed(`publish/${script}`), ...words], {
    signal: limit,
    environment,
  });
  return JSON.parse(output.toString()) as Report;
}

/** Runs a script until `isEnough`, and kills it then. Throws `TOOL_FAILED` when it ends before. */
export async function killScript(
  { environment }: Pick<Simulator, 'environment'>,
  [script, ...words]: readonly [string, ...string[]],
  isEnough: () => Promise<boolean>,
): Promise<void> {
  const child = spawn(process.execPath, [await packed(`publish/${script}`), ...words], {
    stdio: 'ignore',
    env: { ...process.env, ...environment },
  });
  const ended = once(child, 'exit');
  try {
    while (!(await isEnough())) {
      if (child.exitCode === null) continue;
      throw new ImageUnpackerError('TOOL_FAILED', 'The publisher ended before it was killed');
    }
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}

/** What the simulator of AWS has seen. */
export interface Seen {
  refused: number;
  arrived: number;
  acknowledged: number;
  distinct: number;
}

export interface Simulator {
  url: string;
  environment: Record<string, string>;
  ask(line: string): Promise<Seen>;
}

/** Does `work` with an empty directory, and removes it. */
export async function withDirectory<T>(
  { directory: parent }: Workshop,
  work: (directory: string) => Promise<T>,
): Promise<T> {
  await mkdir(parent, { recursive: true });
  const directory = await mkdtemp(join(parent, 'publish-'));
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Does `work` with a simulator of its own and an empty directory, and ends both. */
export function withSimulator<T>(
  workshop: Workshop,
  work: (simulator: Simulator, directory: string) => Promise<T>,
): Promise<T> {
  return withDirectory(workshop, directory => simulate(directory, work));
}

async function simulate<T>(
  directory: string,
  work: (simulator: Simulator, directory: string) => Promise<T>,
): Promise<T> {
  const child = spawn(process.execPath, [await packed('publish/simulate')], {
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
      return JSON.parse(await next()) as Seen;
    };
    return await work({ url, environment: environmentOf(url), ask }, directory);
  } finally {
    await stop(child);
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
