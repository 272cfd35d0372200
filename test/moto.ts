import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import type { TestFn } from 'ava';
import { needs } from './needs.js';

/*
 * An Amazon that is not ours: moto_server, of the Python package moto[server]. Each test file starts its own, on a port
 * that is free, and ends it.
 */

const PROGRAM = 'moto_server';
/** Python reads some thousand files before it listens; on a busy machine that takes long. */
const START_MILLISECONDS = 120_000;
const START_ATTEMPTS = 3;
/** Of what it prints, so much is shown when it does not start. */
const SHOWN_CHARACTERS = 2000;

export interface Moto {
  /** Where it listens: http://127.0.0.1:PORT. */
  readonly endpoint: string;
  /** What the SDK takes its endpoint and credentials from. The credentials are made up. */
  readonly environment: Readonly<Record<string, string>>;
  /** Ends it. */
  stop(): Promise<void>;
}

/** What declares a test that needs a moto_server: where there is none it fails with --require-moto, else is skipped. */
export function withMoto(what: string): TestFn['skip'] {
  const hint = `'pip install "moto[server]"' installs it`;
  return needs(what, { programs: [PROGRAM], hint, required: 'REQUIRE_MOTO' });
}

/** Starts a moto_server, and waits until it answers. */
export async function startMoto(): Promise<Moto> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOn(await freePort());
    } catch (reason) {
      // Somebody else may have taken the port.
      if (attempt === START_ATTEMPTS) throw reason;
    }
  }
}

async function startOn(port: number): Promise<Moto> {
  const child = spawn(PROGRAM, ['-H', '127.0.0.1', '-p', String(port)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let printed = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    printed = (printed + text).slice(-SHOWN_CHARACTERS);
  });
  const endWithUs = (): void => void child.kill('SIGKILL');
  process.on('exit', endWithUs);
  const stop = async (): Promise<void> => {
    process.off('exit', endWithUs);
    await end(child);
  };
  const endpoint = `http://127.0.0.1:${String(port)}`;
  try {
    await untilItAnswers(endpoint, child);
    return { endpoint, environment: environmentFor(endpoint), stop };
  } catch (reason) {
    await stop();
    throw new Error(`${PROGRAM} does not start: ${printed}`, { cause: reason });
  }
}

async function untilItAnswers(endpoint: string, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + START_MILLISECONDS;
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('it has ended');
    // Another program on that port would not know this.
    const answer = await fetch(`${endpoint}/moto-api/data.json`).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.ok === true) return;
    if (performance.now() > deadline) throw new Error('it does not answer');
    await setTimeout(100);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function environmentFor(endpoint: string): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: endpoint,
    AWS_ACCESS_KEY_ID: 'testing',
    AWS_SECRET_ACCESS_KEY: 'testing',
    AWS_REGION: 'us-east-1',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
  };
}
