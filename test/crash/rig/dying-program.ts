import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** A program of ours, from its source, that can be killed at any of its steps (die-at-step.ts). */
export interface Program {
  name: 'image-unpacker' | 'imagetool' | 'ami-publisher';
  parameters: readonly string[];
  /** A part of the path of the program that dies, if that is one which this one starts. */
  dies?: string;
}

/** How a program ended: it was killed, or it was done and printed this. */
export type Ending = { killed: true; pid: number } | { killed: false; pid: number; output: string };

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** Runs a program that dies before that step, if it gets there. Throws when it fails otherwise. */
export async function dieAtStep(program: Program, step: number): Promise<Ending> {
  return run(program, { DIE_AT_STEP: String(step) });
}

/** Runs a program that is killed when so many milliseconds have passed. */
export async function dieAfter(program: Program, milliseconds: number): Promise<Ending> {
  return run(program, {}, milliseconds);
}

/** Runs a program to its end; resolves to the number of its steps. */
export async function countSteps(program: Program): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'steps-'));
  try {
    const file = join(directory, 'steps');
    await run(program, { DIE_STEPS: file });
    return Number(readFileSync(file, 'utf8'));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function run(
  { name, parameters, dies = `${name}/main` }: Program,
  environment: Record<string, string>,
  milliseconds?: number,
): Promise<Ending> {
  const main = `src/cli/${name}/main.ts`;
  const words = ['--import=tsx', '--import=./test/crash/rig/die-at-step.ts', main, ...parameters];
  const child = spawn(process.execPath, words, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, DIE_PROGRAM: dies, ...environment },
  });
  let [output, errors] = ['', ''];
  child.stdout.on('data', (text: Buffer) => (output += String(text)));
  child.stderr.on('data', (text: Buffer) => (errors += String(text)));
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  if (milliseconds !== undefined) {
    await Promise.race([sleep(milliseconds), closed]);
    child.kill('SIGKILL');
  }
  const [status, signal] = await closed;
  const pid = child.pid!;
  if (signal === 'SIGKILL') return { killed: true, pid };
  if (status === 0) return { killed: false, pid, output };
  throw new Error(`${name} ${parameters.join(' ')} ended with ${String(status)}: ${output}${errors}`);
}
