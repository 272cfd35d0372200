import type { ChildProcess } from 'node:child_process';
import { execFile, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  openSync,
  readSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import { SYSTEM_CLOCK } from '../../src/cloud/aws/clock.js';
import type { Machines, Volume } from '../simulator/fleet.js';
import { addInstance, fleetOf } from '../simulator/fleet.js';
import type { Simulator } from '../simulator/index.js';
import { startSimulator } from '../simulator/index.js';
import { BLOCK_BYTES } from '../simulator/state.js';
import { run } from './ext4-fixture.js';
import { Shop } from './publish-fixture.js';

/*
 * Unpackers of a simulator of AWS that are real: an agent each, at an address of its own, and volumes that are loop
 * devices, which the agents find as systems show those of EBS where they have no serial number for them.
 */

export const ACCOUNT = '111122223333';
const BY_ID = '/dev/disk/by-id';
const GIB = 2 ** 30;
const ZEROS = Buffer.alloc(BLOCK_BYTES);
const callProgram = promisify(execFile);

/** Volumes as files, which are attached to loop devices. */
class LoopMachines implements Machines {
  readonly #directory: string;
  readonly #devices = new Map<string, string>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  file({ id }: Volume): string {
    return join(this.#directory, id);
  }

  attach(volume: Volume): void {
    const file = this.file(volume);
    writeFileSync(file, '', { flag: 'a' });
    truncateSync(file, volume.size * GIB);
    const device = run('losetup', '--find', '--show', file).trim();
    this.#devices.set(volume.id, device);
    link(device, volume.id);
  }

  detach({ id }: Volume): void {
    const device = this.#devices.get(id);
    if (device === undefined) return;
    rmSync(linkOf(id));
    run('losetup', '--detach', device);
    this.#devices.delete(id);
  }

  grow(volume: Volume): void {
    truncateSync(this.file(volume), volume.size * GIB);
    const device = this.#devices.get(volume.id);
    if (device !== undefined) run('losetup', '--set-capacity', device);
  }

  remove(volume: Volume): void {
    rmSync(this.file(volume), { force: true });
  }

  *read(volume: Volume): Generator<readonly [number, Buffer]> {
    const file = openSync(this.file(volume), 'r');
    try {
      for (let number = 0; number * BLOCK_BYTES < volume.size * GIB; number++) {
        const block = Buffer.alloc(BLOCK_BYTES);
        readSync(file, block, 0, BLOCK_BYTES, number * BLOCK_BYTES);
        if (!block.equals(ZEROS)) yield [number, block];
      }
    } finally {
      closeSync(file);
    }
  }
}

function linkOf(id: string): string {
  return join(BY_ID, `nvme-Amazon_Elastic_Block_Store_${id.replace('-', '')}`);
}

/** Whoever tests the same at the same time makes the directory as well, and removes it when it is empty. */
function link(device: string, id: string): void {
  for (let attempt = 0; ; attempt++) {
    mkdirSync(BY_ID, { recursive: true });
    try {
      symlinkSync(device, linkOf(id));
      return;
    } catch (reason) {
      if ((reason as NodeJS.ErrnoException).code !== 'ENOENT' || attempt === 100) throw reason;
    }
  }
}

function unlinkDirectory(): void {
  for (const directory of [BY_ID, join(BY_ID, '..')]) {
    try {
      rmdirSync(directory);
    } catch {
      // It is not empty, or another test has removed it.
    }
  }
}

/** An account whose regions have an unpacker each, and a shop that publishes to them. */
export class FleetFixture {
  readonly t: ExecutionContext;
  readonly shop: Shop;
  readonly simulator: Simulator;
  readonly certs: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly #machines: LoopMachines;

  private constructor(t: ExecutionContext, shop: Shop, simulator: Simulator, machines: LoopMachines) {
    this.t = t;
    this.shop = shop;
    this.simulator = simulator;
    this.certs = shop.path('certs');
    this.#machines = machines;
    this.environment = { ...process.env, ...simulator.environment(ACCOUNT) };
  }

  /** `host`: a name that the agents' certificates are for, in place of their addresses. */
  static async make(t: ExecutionContext, regions: readonly string[], host?: string): Promise<FleetFixture> {
    const timing = { complete: 0.1, readable: 0.5, refused: 1 };
    const simulator = await startSimulator({ clock: SYSTEM_CLOCK, timing });
    t.teardown(() => simulator.stop());
    const { world } = simulator;
    world.fleetTiming = {
      start: 1,
      stop: 1,
      createVolume: 0.2,
      attach: 0.2,
      detach: 0.2,
      modify: 0.2,
      snapshot: 1,
    };
    // Agents see all devices of this machine, those of other tests as well.
    world.ids = randomInt(2 ** 47);
    const shop = new Shop(t);
    shop.publishTo(`{ account: "${ACCOUNT}", strategy: snapshot, regions: [${regions.join(', ')}] }`);
    mkdirSync(shop.path('volumes'));
    const fixture = new FleetFixture(t, shop, simulator, new LoopMachines(shop.path('volumes')));
    t.teardown(unlinkDirectory);
    const addresses = regions.map(() => `127.${[1, 2, 3].map(() => String(randomInt(1, 255))).join('.')}`);
    const hosts = (host === undefined ? addresses : [host]).flatMap(each => ['--host', each]);
    run('bin/imageserver', 'make-certs', fixture.certs, ...hosts);
    for (const [at, region] of regions.entries()) await fixture.#serve(region, addresses[at]!);
    return fixture;
  }

  async #serve(region: string, address: string): Promise<void> {
    const { shop, t } = this;
    const { world } = this.simulator;
    const place = world.place(ACCOUNT, region);
    addInstance(world, place, { address });
    const fleet = fleetOf(place);
    fleet.machines = this.#machines;
    t.teardown(() => {
      for (const volume of fleet.volumes.values()) this.#machines.detach(volume);
    });
    const places = ['--store', shop.path('store'), '--state-dir', shop.path(`agent-${region}`)];
    const listen = ['serve', '--listen', address, '--certs', this.certs];
    const agent = spawn('bin/image-unpacker', [...listen, ...places], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    t.teardown(async () => {
      const ended = once(agent, 'exit');
      if (agent.exitCode === null) {
        agent.kill('SIGTERM');
        await ended;
      }
    });
    let told = '';
    for await (const text of agent.stderr) {
      told += String(text);
      if (told.includes('listening')) return;
    }
    throw new Error(`The agent at ${address} ended: ${told}`);
  }

  /** The volumes of a region. */
  volumes(region: string): Volume[] {
    return [...fleetOf(this.simulator.world.place(ACCOUNT, region)).volumes.values()];
  }

  /** The parameters that reach the unpackers. */
  reaching(...more: string[]): string[] {
    return ['--certs', join(this.certs, 'publisher'), ...more];
  }

  /** Calls the publisher, while the simulator in this process answers it; resolves to what it printed as JSON. */
  async call<T>(...args: string[]): Promise<T> {
    const how = { env: this.environment, encoding: 'utf8' } as const;
    return JSON.parse((await callProgram('bin/ami-publisher', [...args, '--json'], how)).stdout) as T;
  }

  publish<T>(leaf: number, ...more: string[]): Promise<T> {
    return this.call<T>(...this.shop.publishing(leaf, ...this.reaching(...more)));
  }

  /** Starts publishing, kills it as soon as `when` says so of a call of AWS, and waits until it is gone. */
  async publishAndKill(leaf: number, when: (operation: string) => boolean): Promise<void> {
    const time = new Promise<void>(resolve => {
      this.simulator.schedule = operation => {
        if (when(operation)) resolve();
        return undefined;
      };
    });
    const args = this.shop.publishing(leaf, ...this.reaching('--json'));
    const child: ChildProcess = spawn('bin/ami-publisher', args, {
      env: this.environment,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const ended = once(child, 'close');
    await Promise.race([time, ended.then(() => Promise.reject(new Error('it ended by itself')))]);
    child.kill('SIGKILL');
    await ended;
    this.simulator.schedule = () => undefined;
  }
}
