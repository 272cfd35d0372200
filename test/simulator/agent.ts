import { ImageUnpackerError } from '../../src/image/error.js';
import { parseImageName } from '../../src/image/name.js';
import type { ConnectAgent } from '../../src/publisher/fleet/connect-agent.js';
import type {
  CallOptions,
  DeviceStatus,
  DiskCapture,
  StreamStatus,
  Unpacker,
  UnpackerStatus,
  UnpackRequest,
  UnpackResult,
} from '../../src/rpc/unpacker.js';
import { DISK_BLOCK_SIZE } from '../../src/image/disk-map.js';
import type { ModelDisk } from '../model/disk.js';
import type { Instance, Volume } from './fleet.js';
import { devicesOf, fleetOf, instanceState } from './fleet.js';
import type { Place, World } from './state.js';

/**
 * An agent on an instance of the simulator: its devices are the volumes that are attached there now, by their serial
 * numbers, and unpacking writes a disk to one of them. It keeps pins as a real one does.
 */
export class SimulatedAgent implements Unpacker {
  readonly instance: Instance;
  readonly calls: string[] = [];
  lastUsed: string | null = null;
  /** Streams that are worked on. */
  readonly busy = new Set<string>();
  /** Volumes that a capture holds. */
  readonly held = new Set<string>();
  /** Whether it is of a version that knows how to scrub. */
  scrubs = true;
  /** How often it did. */
  scrubbed = 0;
  /** Called within each unpack, half-way through. */
  during: () => Promise<void> | void = () => undefined;
  readonly pins = new Map<string, string>();
  readonly #world: World;
  readonly #place: Place;
  readonly #disks: ReadonlyMap<string, ModelDisk>;
  /** The digest of what is on each volume. */
  readonly #content = new Map<string, string>();

  /** `disks` by the digests of images. */
  constructor(world: World, place: Place, instance: Instance, disks: ReadonlyMap<string, ModelDisk>) {
    this.#world = world;
    this.#place = place;
    this.instance = instance;
    this.#disks = disks;
  }

  async unpack(
    { image, digest, scrub = false }: UnpackRequest,
    { signal, onProgress }: CallOptions = {},
  ): Promise<UnpackResult> {
    this.calls.push(`unpack ${image}`);
    const { stream } = parseImageName(image);
    const volume = this.#volume(stream);
    const disk = this.#disks.get(digest);
    if (disk === undefined) throw new ImageUnpackerError('IMAGE_UNKNOWN', `There is no ${image}`);
    onProgress?.({ stream, step: 'Patching', done: 1, total: 2, unit: 'entries' });
    if (scrub && this.scrubs) this.scrubbed++;
    this.busy.add(stream);
    try {
      this.#content.delete(volume.id);
      // Half of it is there when it is interrupted.
      volume.blocks.set(1, this.#world.keep(Buffer.alloc(DISK_BLOCK_SIZE, 0xee)));
      await this.during();
      signal?.throwIfAborted();
      volume.blocks.clear();
      for (let number = 0; number * DISK_BLOCK_SIZE < disk.size; number++) {
        const block = disk.block(number);
        if (block.some(byte => byte !== 0)) volume.blocks.set(number, this.#world.keep(block));
      }
      this.#content.set(volume.id, digest);
      this.lastUsed = new Date(this.#world.clock.now()).toISOString();
    } finally {
      this.busy.delete(stream);
    }
    return {
      image,
      digest,
      from: null,
      scan: 'none',
      entries: { added: 0, removed: 0, changed: 0, unchanged: 0 },
      bytesFetched: 0,
      bytesWritten: 0,
      blocksWritten: 3,
      generated: [],
      boot: { architecture: 'x86_64', bootMode: 'uefi-preferred', rootDevice: '/dev/xvda', kernels: ['6.1'] },
      warnings: [],
      scrubbed: scrub && this.scrubs,
      seconds: {},
    };
  }

  capture(stream: string, digest: string): Promise<DiskCapture> {
    this.calls.push(`capture ${stream}`);
    const volume = this.#volume(stream);
    if (this.#content.get(volume.id) !== digest) {
      throw new ImageUnpackerError('VOLUME_DOUBTFUL', `${volume.id} is not ${digest}`);
    }
    const disk = this.#disks.get(digest)!;
    this.held.add(volume.id);
    return Promise.resolve({
      map: disk.map,
      blocks: numbers => disk.content().blocks(numbers),
      close: () => {
        this.held.delete(volume.id);
        return Promise.resolve();
      },
    });
  }

  status(): Promise<UnpackerStatus> {
    const streams = [...this.pins.keys()].map(stream => this.#stream(stream));
    return Promise.resolve({
      version: '1',
      startedAt: new Date(0).toISOString(),
      lastUsed: this.lastUsed,
      streams,
    });
  }

  devices(): Promise<DeviceStatus[]> {
    const found = devicesOf(this.#world, this.#place, this.instance.id).map((volume, at) => ({
      id: serialOf(volume),
      path: `/dev/nvme${String(at + 1)}n1`,
      size: volume.size * 2 ** 30,
      stream: [...this.pins].find(([, id]) => id === serialOf(volume))?.[0] ?? null,
      unusable: null,
    }));
    return Promise.resolve(found);
  }

  async pin(stream: string, device: string): Promise<StreamStatus> {
    this.calls.push(`pin ${stream}`);
    const known = this.pins.get(stream);
    if (known !== undefined && known !== device) {
      throw new ImageUnpackerError('VOLUME_DIFFERENT', `The stream ${stream} has another volume, ${known}`);
    }
    if (!(await this.devices()).some(({ id }) => id === device)) {
      throw new ImageUnpackerError('DEVICE_MISSING', `The device ${device} is not there`);
    }
    this.pins.set(stream, device);
    return this.#stream(stream);
  }

  forget(stream: string): Promise<void> {
    this.calls.push(`forget ${stream}`);
    if (!this.pins.delete(stream)) throw new ImageUnpackerError('VOLUME_UNKNOWN', `${stream} has no volume`);
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #volume(stream: string): Volume {
    const id = this.pins.get(stream);
    if (id === undefined) throw new ImageUnpackerError('VOLUME_UNKNOWN', `${stream} has no volume`);
    const attached = devicesOf(this.#world, this.#place, this.instance.id);
    const volume = attached.find(each => serialOf(each) === id);
    if (volume === undefined) throw new ImageUnpackerError('DEVICE_MISSING', `${id} is not there`);
    return volume;
  }

  #digestOn(serial: string): string | null {
    return [...this.#content].find(([id]) => serialOf({ id }) === serial)?.[1] ?? null;
  }

  #stream(stream: string): StreamStatus {
    const id = this.pins.get(stream)!;
    const isThere = devicesOf(this.#world, this.#place, this.instance.id).some(each => serialOf(each) === id);
    return {
      stream,
      state: this.busy.has(stream) ? 'busy' : isThere ? 'clean' : 'absent',
      device: id,
      image: null,
      digest: this.#digestOn(id),
      size: null,
      progress: null,
      error: null,
      lastUsed: this.lastUsed,
    };
  }
}

function serialOf({ id }: Pick<Volume, 'id'>): string {
  return id.replace('-', '');
}

/** Agents of all instances of a place, as they are reached: one whose machine does not run answers nothing. */
export function simulatedAgents(
  world: World,
  place: Place,
  disks: ReadonlyMap<string, ModelDisk>,
): { agents: Map<string, SimulatedAgent>; connect: ConnectAgent; of(instance: Instance): SimulatedAgent } {
  const agents = new Map<string, SimulatedAgent>();
  const of = (instance: Instance): SimulatedAgent => {
    const agent = agents.get(instance.id) ?? new SimulatedAgent(world, place, instance, disks);
    agents.set(instance.id, agent);
    return agent;
  };
  const connect: ConnectAgent = async address => {
    const instance = [...fleetOf(place).instances.values()].find(each => each.address === address);
    if (instance === undefined || instanceState(world, instance) !== 'running') {
      throw new ImageUnpackerError('TIMEOUT', `No agent answers at ${address}`);
    }
    return Promise.resolve(of(instance));
  };
  return { agents, connect, of };
}
