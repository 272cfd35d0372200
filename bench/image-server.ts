import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { ImageUnpackerError } from '../src/image/error.js';
import { packed } from './packed.js';
import { runCommand } from './run-command.js';
import type { Workshop } from './workshop.js';
import { ours } from './workshop.js';

/** An image server that runs, over a store of its own, which is empty at first. */
export interface RunningServer {
  /** `127.0.0.1:PORT`. */
  readonly address: string;
  /** Bytes that it held at most. */
  memory(): Promise<number>;
}

/** How far away a server is: milliseconds on the way to it, and as many back, and bytes a second. */
export interface Line {
  milliseconds: number;
  bytes: number;
}

/** Certificates for servers and clients of this machine. */
export async function makeCerts(workshop: Workshop): Promise<string> {
  const certs = workshop.path('certs');
  const words = ours('imageserver', 'make-certs', certs, '--host', '127.0.0.1');
  await runCommand(['sh', '-c', 'test -e "$0" || "$@"', certs, ...words], { signal: workshop.signal });
  return certs;
}

/** Objects are never changed, so that they need no copies; files that are locked do. */
const COPY_STORE =
  'mkdir "$1/store" && cd "$0" && cp -a $(ls | grep -v "^objects$") "$1/store" && cp -al objects "$1/store"';

/**
 * Does `work` with so many servers, each but the first a replica of the one before, and `line` before each of them. Each begins
 * with what the store `seed` has.
 */
export async function withServers<T>(
  workshop: Workshop,
  count: number,
  line: Line | undefined,
  work: (servers: readonly RunningServer[], certs: string) => Promise<T>,
  seed?: string,
): Promise<T> {
  const certs = await makeCerts(workshop);
  const children: ChildProcess[] = [];
  const servers: RunningServer[] = [];
  try {
    for (let number = 0; number < count; number++) {
      const store = await workshop.emptied(`served-${String(number)}`);
      if (seed !== undefined)
        await runCommand(['sh', '-c', COPY_STORE, seed, store], { signal: workshop.signal });
      const source = servers.at(-1);
      const from = source === undefined ? [] : ['--replicate-from', source.address];
      const places = ['--store', `${store}/store`, '--listen', '127.0.0.1:0', '--certs', certs];
      const child = start(ours('imageserver', 'serve', ...places, ...from));
      children.push(child);
      const address = await listening(child);
      servers.push({ address: await behind(line, address, children), memory: () => memoryOf(child) });
    }
    return await work(servers, certs);
  } finally {
    for (const child of children.reverse()) await stop(child);
  }
}

function start(words: readonly string[]): ChildProcess {
  const [program, ...parameters] = words;
  return spawn(program!, parameters, { detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
}

/** Where a server says that it listens. */
async function listening(child: ChildProcess): Promise<string> {
  const said: string[] = [];
  for await (const text of createInterface(child.stderr!)) {
    said.push(text);
    const address = /"address":"([^"]+)".*"listening"/.exec(text)?.[1];
    if (address === undefined) continue;
    child.stderr!.resume();
    return address;
  }
  throw new ImageUnpackerError('TOOL_FAILED', `The image server did not start: ${said.join('\n')}`);
}

/** Where the address is reached over the line. */
async function behind(line: Line | undefined, address: string, children: ChildProcess[]): Promise<string> {
  if (line === undefined) return address;
  const port = address.slice(address.lastIndexOf(':') + 1);
  const words = [port, String(line.milliseconds), String(line.bytes)];
  const child = start([process.execPath, await packed('imageserver/delay'), ...words]);
  children.push(child);
  const [first] = (await once(child.stdout!, 'data')) as [Buffer];
  return `127.0.0.1:${first.toString().trim()}`;
}

async function memoryOf({ pid }: ChildProcess): Promise<number> {
  const status = await readFile(`/proc/${String(pid)}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.stdin?.end();
  child.kill('SIGTERM');
  await ended;
}
