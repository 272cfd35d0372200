import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ERROR_CODES, ImageUnpackerError, throwIfAborted } from '../image/error.js';
import type { Limits } from '../image/settable-limits.js';
import { showLimits } from '../image/settable-limits.js';
import { connectUnpacker } from '../rpc/unpacker-client.js';
import type { Unpacker } from '../rpc/unpacker.js';
import { makeDirectory } from '../store/make-directory.js';
import { absoluteLocation } from '../store/open.js';
import { STATE_DIRECTORY } from './options.js';

/** Node loads the agent in a second; a machine that is busy may take longer. */
const START_SECONDS = 60;
/** An agent of a publisher that was killed puts its work in order before it lets go, for which it has 20 s. */
const BUSY_SECONDS = 25;
const BUSY_RETRY_MILLISECONDS = 250;
/** The agent ends when its work has ended, which is told to stop. */
const STOP_SECONDS = 60;
/** What fits into the address of a Unix socket (unix(7)). */
const MAX_SOCKET_PATH = 107;
const MAX_OUTPUT = 64 << 10;

const PROGRAM = fileURLToPath(new URL('../../bin/image-unpacker', import.meta.url));

/** Where an agent of our own works, and how it is watched. */
export interface StartOptions {
  /** The store that images come from: a directory, s3://bucket/prefix, or imageserver://ADDRESS. */
  readonly store: string;
  /** The directory of the certificates for image servers; default: `/etc/image-unpacker/certs`. */
  readonly certs?: string | undefined;
  /** What the images that it unpacks may have at most. */
  readonly limits?: Limits | undefined;
  /** Where it keeps its volumes and what it knows of them; default: `/var/lib/image-unpacker`. */
  readonly stateDirectory?: string | undefined;
  /** A configuration of the agent in YAML, which says how volumes are made and boot. */
  readonly configuration?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told each line that the agent logs: JSON. */
  readonly onLog?: ((line: string) => void) | undefined;
}

/**
 * Starts an agent of our own on a private socket, as root; closing what it resolves to ends it, and so does the end
 * of this process, however it comes. Throws what the agent says when it cannot start, `STATE_BUSY` when another one
 * has the directory, `TOOL_MISSING`, `TIMEOUT`, `CANCELLED`.
 */
export async function startUnpacker(options: StartOptions): Promise<Unpacker> {
  const deadline = performance.now() + BUSY_SECONDS * 1000;
  for (;;) {
    throwIfAborted(options.signal);
    try {
      return await startOnce(options);
    } catch (reason) {
      if (!(reason instanceof ImageUnpackerError) || reason.code !== 'STATE_BUSY') throw reason;
      if (performance.now() > deadline) throw busy(reason);
      await sleep(BUSY_RETRY_MILLISECONDS);
    }
  }
}

function busy({ message, subject }: ImageUnpackerError): ImageUnpackerError {
  const remedy = 'or, if it is an agent, let it do the work with --unpacker';
  return new ImageUnpackerError('STATE_BUSY', `${message}; ${remedy}`, subject);
}

async function startOnce(options: StartOptions): Promise<Unpacker> {
  const { stateDirectory = STATE_DIRECTORY, signal } = options;
  const state = resolve(stateDirectory);
  const socket = await placeOfSocket(state);
  const address = `unix:${socket.path}`;
  const agent = spawnAgent(address, state, options);
  try {
    const started = connectUnpacker(address, { patience: START_SECONDS, signal });
    // Whichever is later has nobody who waits for it.
    started.catch(() => undefined);
    const client = await Promise.race([started, agent.failed]);
    return ending(client, async () => {
      await stop(agent.child);
      await socket.remove();
    });
  } catch (reason) {
    await stop(agent.child);
    await socket.remove();
    throw reason;
  }
}

/** The client, whose closing does more than that. */
function ending(client: Unpacker, after: () => Promise<void>): Unpacker {
  const close = client.close.bind(client);
  client.close = async () => {
    await close();
    await after();
  };
  return client;
}

/** In the state directory, which is private; elsewhere if that has too long a path. */
async function placeOfSocket(state: string): Promise<{ path: string; remove(): Promise<void> }> {
  try {
    await makeDirectory(state, 0o700);
    const path = join(state, 'agent.sock');
    if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return { path, remove: () => Promise.resolve() };
    const directory = await mkdtemp(join(tmpdir(), 'ami-publisher-'));
    return {
      path: join(directory, 'agent.sock'),
      remove: () => rm(directory, { recursive: true, force: true }),
    };
  } catch (reason) {
    throw ImageUnpackerError.from(reason, `Cannot use the state directory ${state}`, { path: state });
  }
}

/** An agent, and what rejects when it ends before it is told to. */
interface StartedAgent {
  readonly child: ChildProcess;
  readonly failed: Promise<never>;
}

function spawnAgent(
  address: string,
  state: string,
  { store, limits, certs, configuration, onLog }: StartOptions,
): StartedAgent {
  const places = [
    ...['--listen', address, '--store', absoluteLocation(store)],
    ...['--state-dir', state, '--volumes', join(state, 'disks')],
    ...(certs === undefined ? [] : ['--certs', resolve(certs)]),
    ...(limits === undefined ? [] : ['--limits', showLimits(limits)]),
    ...(configuration === undefined ? [] : ['--config', resolve(configuration)]),
  ];
  // The kernel tells the agent when we have gone (PR_SET_PDEATHSIG); Ctrl-C is for us alone.
  const command = ['--pdeathsig', 'TERM', process.execPath, PROGRAM, 'serve', ...places, '--json'];
  const child = spawn('setpriv', command, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (output.length < MAX_OUTPUT) output += text;
  });
  let lastLine = '';
  createInterface(child.stderr).on('line', line => {
    lastLine = line;
    onLog?.(line);
  });
  const failed = new Promise<never>((_, reject) => {
    child.on('error', reason => {
      reject(
        (reason as NodeJS.ErrnoException).code === 'ENOENT'
          ? new ImageUnpackerError(
              'TOOL_MISSING',
              'The program setpriv is not installed: install the package util-linux',
            )
          : ImageUnpackerError.from(reason, 'Cannot start an agent'),
      );
    });
    child.on('close', (status, killedBy) => {
      reject(errorOf(output, `${killedBy ?? `status ${String(status)}`}: ${lastLine}`));
    });
  });
  failed.catch(() => undefined);
  return { child, failed };
}

/** What an agent said of its end, with --json. */
function errorOf(output: string, ended: string): ImageUnpackerError {
  try {
    const { error } = JSON.parse(output) as { error: { code: string; message: string } };
    const code = ERROR_CODES.find(each => each === error.code) ?? 'INTERNAL';
    return new ImageUnpackerError(code, error.message);
  } catch {
    return new ImageUnpackerError('INTERNAL', `The agent that was started for this run ended with ${ended}`);
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'close');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_SECONDS * 1000);
  await ended;
  clearTimeout(timer);
}
