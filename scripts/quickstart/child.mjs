import { spawn } from 'node:child_process';

/** How long a program may take to put things in order when it is told to stop. */
const GRACE_MILLISECONDS = 60_000;
/** How much of what a program said is worth showing when it failed. */
const TAIL_LINES = 15;

/** A program that did not end well; the message is for people. */
export class ProgramFailure extends Error {}

/** The quickstart was interrupted. */
export class Interrupted extends Error {}

/**
 * Runs a program quietly to its end, in a process group of its own, and resolves to its exit status and what it
 * wrote. When `signal` is aborted the group is told to stop, ended if it does not, and `Interrupted` is
 * thrown once it is gone. Throws `ProgramFailure` when there is no such program.
 */
export async function runToEnd(program, parameters, { signal, ...options }) {
  if (signal.aborted) throw new Interrupted();
  const child = spawn(program, parameters, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, ...options });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', text => (output[name] += text));
  }
  let lastResort;
  const stop = () => {
    sendToGroup(child.pid, 'SIGTERM');
    lastResort = setTimeout(() => sendToGroup(child.pid, 'SIGKILL'), GRACE_MILLISECONDS);
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    const status = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
    if (signal.aborted) throw new Interrupted();
    return { status, ...output };
  } catch (reason) {
    if (reason instanceof Interrupted) throw reason;
    throw new ProgramFailure(`${program} could not be run: ${reason.message}`);
  } finally {
    clearTimeout(lastResort);
    signal.removeEventListener('abort', stop);
  }
}

/** As `runToEnd`, of a program that has to end well: else `ProgramFailure` with the end of what it said. */
export async function run(program, parameters, options) {
  const ended = await runToEnd(program, parameters, options);
  if (ended.status === 0) return ended;
  const said = `${ended.stdout}\n${ended.stderr}`.trim().split('\n').slice(-TAIL_LINES).join('\n');
  throw new ProgramFailure(`${[program, ...parameters].join(' ')} failed:\n${said}`);
}

function sendToGroup(pid, name) {
  try {
    if (pid !== undefined) process.kill(-pid, name);
  } catch (reason) {
    // It ended by itself meanwhile.
    if (reason.code !== 'ESRCH') throw reason;
  }
}
