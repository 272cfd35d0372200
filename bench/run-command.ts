import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { ImageUnpackerError, throwIfAborted } from '../src/image/error.js';

/** What a tool said, and how long it took. */
export interface Outcome {
  output: Buffer;
  /** From when the tool had been started to when it and all that it had started were gone. */
  seconds: number;
}

export interface RunOptions {
  signal?: AbortSignal | undefined;
  directory?: string;
  environment?: Readonly<Record<string, string>>;
}

/** After so long a tool that was asked to stop is made to. Our own tools repair first what they began. */
const STOP_MILLISECONDS = 30_000;
/** As much of what a tool complained of is shown. */
const COMPLAINT_CHARACTERS = 600;

/**
 * Runs a tool to its end. It has a process group of its own: an interrupt from the terminal does not reach it,
 * and the abort of `signal` stops all that it started. Throws `TOOL_MISSING`, `TOOL_FAILED`, `CANCELLED`.
 */
export async function runCommand(words: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { signal, directory, environment } = options;
  throwIfAborted(signal);
  const [program, ...parameters] = words as [string, ...string[]];
  const child = spawn(program, parameters, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: directory,
    env: { ...process.env, ...environment },
  });
  const start = performance.now();
  const stop = stopperOf(child.pid);
  signal?.addEventListener('abort', stop.begin);
  const output: Buffer[] = [];
  let complaints = '';
  child.stdout.on('data', (bytes: Buffer) => output.push(bytes));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints = (complaints + text).slice(-COMPLAINT_CHARACTERS);
  });
  try {
    const [status] = (await once(child, 'close')) as [number | null];
    const seconds = (performance.now() - start) / 1000;
    throwIfAborted(signal);
    if (status !== 0) throw failure(words, complaints);
    return { output: Buffer.concat(output), seconds };
  } catch (reason) {
    throw startFailure(program, reason);
  } finally {
    signal?.removeEventListener('abort', stop.begin);
    stop.end();
  }
}

/** As `runCommand`, for the text that the tool prints. */
export async function textOf(words: readonly string[], options: RunOptions = {}): Promise<string> {
  return (await runCommand(words, options)).output.toString('utf8').trim();
}

function stopperOf(group: number | undefined): { begin: () => void; end: () => void } {
  let timer: NodeJS.Timeout | undefined;
  return {
    begin: () => {
      endGroup(group, constants.signals.SIGTERM);
      timer = setTimeout(() => endGroup(group, constants.signals.SIGKILL), STOP_MILLISECONDS);
    },
    end: () => clearTimeout(timer),
  };
}

function endGroup(group: number | undefined, number: number): void {
  if (group === undefined) return;
  try {
    process.kill(-group, number);
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code !== 'ESRCH') throw reason;
  }
}

function failure(words: readonly string[], complaints: string): ImageUnpackerError {
  return new ImageUnpackerError('TOOL_FAILED', `${words.join(' ')} failed: ${complaints.trim()}`);
}

function startFailure(program: string, reason: unknown): unknown {
  if ((reason as NodeJS.ErrnoException).code !== 'ENOENT') return reason;
  return new ImageUnpackerError('TOOL_MISSING', `There is no ${program} on this machine; install it`);
}

/** Whether there is such a program on the PATH. */
export async function isInstalled(program: string): Promise<boolean> {
  return runCommand(['sh', '-c', 'command -v "$0"', program]).then(
    () => true,
    () => false,
  );
}
