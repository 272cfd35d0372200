import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import type { Entry } from '../../src/image/entry.js';
import { sha512 } from '../../src/image/digest.js';
import type { UnpackerClient } from '../../src/rpc/unpacker-client.js';
import { connectUnpacker } from '../../src/rpc/unpacker-client.js';
import type { DiskCapture, UnpackResult } from '../../src/rpc/unpacker.js';
import { openLocalStore, type LocalStore } from '../../src/store/local/store.js';
import { storeImage } from '../model/stored-image.js';
import { attach, run, temporaryDirectory } from './ext4-fixture.js';

/** Small volumes: the tests make many. */
const VOLUME_BYTES = 96 << 20;
/** Room for all volumes of a test. */
const ROOM_BYTES = 4 * 2 ** 30;

/** What is loaded before an agent and its workers. */
interface Loading {
  modules?: readonly string[];
  environment?: Readonly<Record<string, string>>;
}

/** A store, and agents as processes of their own. All of it is gone when the test ends. */
export class AgentFixture {
  readonly t: ExecutionContext;
  readonly directory: string;
  readonly socket: string;
  readonly volumes: string;
  readonly stateDirectory: string;
  readonly store: LocalStore;
  readonly #room: string;
  readonly #agents = new Set<ChildProcess>();

  private constructor(t: ExecutionContext, directory: string, store: LocalStore) {
    this.t = t;
    this.directory = directory;
    this.socket = join(directory, 'run/agent.sock');
    this.#room = join(directory, 'room');
    this.volumes = join(this.#room, 'volumes');
    this.stateDirectory = join(directory, 'state');
    this.store = store;
  }

  static async make(t: ExecutionContext, volumeBytes = VOLUME_BYTES): Promise<AgentFixture> {
    const directory = temporaryDirectory(t);
    const store = await openLocalStore(join(directory, 'store'), { create: true });
    const fixture = new AgentFixture(t, directory, store);
    t.teardown(() => store.close());
    fixture.#mountRoom();
    t.teardown(() => fixture.#end());
    const configuration = [
      `listen: unix:${fixture.socket}`,
      'stateDir: state',
      'store: store',
      `volumes: { directory: room/volumes, size: ${String(volumeBytes)} }`,
    ];
    writeFileSync(join(directory, 'agent.yaml'), `${configuration.join('\n')}\n`);
    return fixture;
  }

  /** Starts an agent and connects to it. */
  async start(): Promise<{ agent: ChildProcess; client: UnpackerClient }> {
    const agent = this.serve();
    const client = await connectUnpacker(`unix:${this.socket}`, { patience: 60 });
    this.t.teardown(() => client.close());
    return { agent, client };
  }

  /** Starts an agent; modules may be loaded before it, and told things by variables. */
  serve({ modules = [], environment = {} }: Loading = {}): ChildProcess {
    const loaded = ['tsx', ...modules].map(module => `--import=${module}`);
    const parameters = ['serve', '--config', join(this.directory, 'agent.yaml'), '--log-level', 'silent'];
    const program = [...loaded, 'src/cli/image-unpacker/main.ts', ...parameters];
    const agent = spawn(process.execPath, program, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...environment },
    });
    this.#agents.add(agent);
    return agent;
  }

  /** Stores a tree as an image, and returns its digest. */
  async image(name: string, entries: readonly Entry[]): Promise<string> {
    return (await storeImage(this.store, name, entries)).digest;
  }

  /** An image of so many files of 1 MiB that compare with nothing, which takes its time. */
  async largeImage(name: string, files: number): Promise<{ digest: string; entries: Entry[] }> {
    const entries = [directory('')];
    for (let number = 0; number < files; number++) {
      const { digest, size } = await this.store.put(randomBytes(1 << 20));
      entries.push(file(String(number).padStart(5, '0'), { size: BigInt(size), digest }));
    }
    return { digest: await this.image(name, entries), entries };
  }

  /** Puts the volumes on a file system of their own, which can be frozen. */
  #mountRoom(): void {
    const file = join(this.directory, 'room.raw');
    writeFileSync(file, '');
    truncateSync(file, ROOM_BYTES);
    run('mkfs.ext4', '-q', '-F', file);
    const device = attach(this.t, file);
    mkdirSync(this.#room);
    run('mount', device, this.#room);
    this.t.teardown(() => run('umount', this.#room));
  }

  /**
   * Begins work that patches a volume, and does `act` when that has begun and cannot go on: however fast the machine is,
   * it happens in the middle.
   */
  async midway<T>(begin: () => Promise<T>, act: () => unknown): Promise<T> {
    let begun: Promise<T>;
    run('fsfreeze', '--freeze', this.#room);
    try {
      begun = begin();
      await until(() => patching(this.stateDirectory));
      await act();
    } finally {
      run('fsfreeze', '--unfreeze', this.#room);
    }
    return begun;
  }

  /** A blank device that is not the agent's. */
  device(size = VOLUME_BYTES): string {
    const file = join(this.directory, `device-${String(Math.random()).slice(2)}`);
    writeFileSync(file, '');
    truncateSync(file, size);
    return attach(this.t, file);
  }

  async #end(): Promise<void> {
    for (const agent of this.#agents) await kill(agent, 'SIGKILL');
    // The workers go with their agent; what they held is free then.
    await until(() => workersOf(this.stateDirectory).length === 0 && !this.attached());
  }

  /** Whether a loop device has a volume of the agent's. */
  attached(): boolean {
    return run('losetup', '--list', '--noheadings', '--output', 'BACK-FILE').includes(this.volumes);
  }
}

const metadata = { mode: 0o755, uid: 0, gid: 0, mtime: 5n, flags: 0, xattrs: [] };

export function directory(path: string): Entry {
  return { type: 'directory', path: Buffer.from(path), ...metadata };
}

/** A file that holds "one", if nothing else is said. */
export function file(path: string, more: Partial<Entry> = {}): Entry {
  const content = { size: 3n, holes: [], digest: sha512(Buffer.from('one')), names: [] };
  return { type: 'file', path: Buffer.from(path), ...metadata, ...content, ...more } as Entry;
}

/** Ends a process and waits for it. */
export async function kill(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
  }
  return child.exitCode;
}

/** The workers that have the lock of a state directory. */
export function workersOf(stateDirectory: string): number[] {
  const lock = join(stateDirectory, 'lock');
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => isWorker(pid) && linksOf(pid).includes(lock));
}

function isWorker(pid: number): boolean {
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8').includes('/unpacker/worker.');
  } catch {
    return false;
  }
}

function linksOf(pid: number): string {
  try {
    return run('find', `/proc/${String(pid)}/fd`, '-type', 'l', '-printf', '%l\n');
  } catch {
    return '';
  }
}

/** Whether work on a volume has begun that is not known to have ended. */
export function patching(stateDirectory: string): boolean {
  const journals = readdirSync(join(stateDirectory, 'volumes'), { recursive: true, encoding: 'utf8' });
  return journals.some(name => name.endsWith('/journal'));
}

/** Waits until something is so; a test that waits for ever ends by its timeout. */
export async function until(is: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await is())) await sleep(20);
}

/** The digest of all that a capture gives, block by block; `undefined` where a block is zeros. */
export async function readAll(capture: DiskCapture): Promise<Buffer> {
  const count = Math.ceil(Number(capture.map.size) / 524_288);
  const blocks: Buffer[] = [];
  for await (const block of capture.blocks(Array.from({ length: count }, (_, number) => number))) {
    blocks.push(Buffer.from(block));
  }
  return Buffer.concat(blocks).subarray(0, Number(capture.map.size));
}

/** An unpack that makes what it needs. */
export async function unpack(client: UnpackerClient, image: string, digest: string): Promise<UnpackResult> {
  return client.unpack({ image, digest, create: true });
}
