import { join, resolve } from 'node:path';
import { cancelled, ImageUnpackerError } from '../image/error.js';
import { checkStreamName, parseImageName } from '../image/name.js';
import type { Limits } from '../image/settable-limits.js';
import { DEFAULT_LIMITS } from '../image/settable-limits.js';
import type {
  CallOptions,
  DeviceStatus,
  DiskCapture,
  StreamStatus,
  Unpacker,
  UnpackerStatus,
  UnpackRequest,
  UnpackResult,
} from '../rpc/unpacker.js';
import type { CachePlace } from '../store/open.js';
import { DEFAULT_CACHE_BYTES } from '../store/open.js';
import { StateDirectory } from '../volume/state-directory.js';
import { AgentCapture } from './agent-capture.js';
import type { StreamRecord } from './agent-state.js';
import { AgentState } from './agent-state.js';
import { listDevices } from './list-devices.js';
import { pinnable } from './pin.js';
import { Queue } from './queue.js';
import type { AgentLog } from './runs.js';
import { Runs } from './runs.js';
import { ConditionReader } from './stream-condition.js';
import { streamStatus } from './stream-status.js';
import type { OwnVolumes } from './stream-volume.js';
import { fileSize, ownVolume, placeOf, removeVolumeFile } from './stream-volume.js';
import type { StreamSettings, VolumePlace, Work } from './work.js';

/** What an agent works with. */
export interface AgentOptions {
  /** Where it keeps what it knows; one agent has it at a time. */
  stateDirectory: string;
  /** The store that images come from: a directory, or s3://bucket/prefix. */
  store: string | undefined;
  /** Where objects are kept that come from elsewhere; default: in the state directory. */
  /** The directory of the certificates for image servers. */
  certs?: string | undefined;
  cache?: { [Key in keyof CachePlace]?: CachePlace[Key] | undefined } | undefined;
  /** What the images that it unpacks may have at most. */
  limits?: Limits | undefined;
  /** Public keys in PEM: only images that are signed with one of them are unpacked. */
  trustedKeys?: string | undefined;
  /** Left out when streams have only the devices that they are pinned to. */
  volumes: OwnVolumes | undefined;
  /** How the volume of a stream is made. */
  settingsOf: (stream: string) => StreamSettings;
  version: string;
  log: AgentLog;
}

/** The workers of an agent that was killed go within this; their work is settled by the kernel. */
const PREDECESSOR_MILLISECONDS = 5000;
const ignore = (): undefined => undefined;
const DIGEST = /^[0-9a-f]{128}$/;

/** Keeps a volume for each stream, and works on it in processes of their own. */
export class Agent implements Unpacker {
  readonly #options: AgentOptions;
  readonly #directory: StateDirectory;
  readonly #state: AgentState;
  readonly #conditions: ConditionReader;
  readonly #runs: Runs;
  readonly #pins = new Queue();
  readonly #startedAt = new Date().toISOString();

  private constructor(options: AgentOptions, directory: StateDirectory, state: AgentState) {
    this.#options = options;
    this.#directory = directory;
    this.#state = state;
    this.#conditions = new ConditionReader(directory);
    this.#runs = new Runs({
      lock: directory.lock,
      log: options.log,
      onEnd: stream => {
        this.#conditions.forget(stream);
      },
    });
  }

  /** Throws `STATE_BUSY` when another agent or command has the state directory, `STATE_DAMAGED`. */
  static async open(options: AgentOptions): Promise<Agent> {
    const path = resolve(options.stateDirectory);
    const directory = await StateDirectory.open(path, PREDECESSOR_MILLISECONDS);
    try {
      return new Agent(options, directory, await AgentState.read(path));
    } catch (reason) {
      await directory.close();
      throw reason;
    }
  }

  async unpack(request: UnpackRequest, options: CallOptions = {}): Promise<UnpackResult> {
    const { image, digest, create, scrub = false } = request;
    const { stream } = parseImageName(image);
    checkDigest(digest);
    const store = this.#store();
    return this.#runs.run('unpack', stream, options, async ({ start }) => {
      const record = await this.#recordFor(stream, create);
      try {
        const make = create ? (this.#options.volumes?.size ?? null) : null;
        const volume = await placeOf(record.volume, make);
        const { limits = DEFAULT_LIMITS, trustedKeys, settingsOf } = this.#options;
        const order = {
          store,
          cache: this.#cache(),
          certs: this.#options.certs,
          limits,
          trustedKeys,
          image,
          digest,
          format: create,
          scrub,
          settings: settingsOf(stream),
        };
        const work: Work = { kind: 'unpack', ...this.#places(volume), ...order };
        const result = await start(work).ended;
        await this.#succeeded(record);
        return result!;
      } catch (reason) {
        await this.#failed(record, reason);
        throw reason;
      }
    });
  }

  async capture(stream: string, digest: string, options: CallOptions = {}): Promise<DiskCapture> {
    checkStreamName(stream);
    checkDigest(digest);
    return new Promise((opened, failed) => {
      // The run lasts for as long as the disk is held; it fails before that, or its caller has had enough.
      const run = this.#runs.run('capture', stream, options, async ({ signal, start, hold }) => {
        const record = this.#record(stream);
        const volume = await placeOf(record.volume, null);
        const stop = new AbortController();
        const work: Work = { kind: 'capture', ...this.#places(volume), digest };
        const worker = start(work, AbortSignal.any([signal, stop.signal]));
        const abandon = (): void => {
          stop.abort(cancelled());
        };
        const capture = await AgentCapture.open(worker, { abandon, ended: () => ended }).catch(
          async (reason: unknown) => {
            abandon();
            await worker.ended;
            throw reason;
          },
        );
        hold();
        opened(capture);
        await worker.ended;
        await this.#state.put({ ...record, lastUsed: new Date().toISOString() });
      });
      const ended = run.catch(failed);
    });
  }

  async status(): Promise<UnpackerStatus> {
    const records = this.#state.streams();
    const streams = await Promise.all(
      records.map(record => streamStatus(record, this.#runs.progressOf(record.stream), this.#conditions)),
    );
    const lastUsed = records.reduce<string | null>(
      (latest, record) =>
        record.lastUsed !== null && record.lastUsed > (latest ?? '') ? record.lastUsed : latest,
      null,
    );
    return { version: this.#options.version, startedAt: this.#startedAt, lastUsed, streams };
  }

  async devices(): Promise<DeviceStatus[]> {
    return listDevices(this.#state.streams());
  }

  async pin(stream: string, device: string, options: CallOptions = {}): Promise<StreamStatus> {
    checkStreamName(stream);
    return this.#runs.run('pin', stream, options, ({ signal }) =>
      // Two streams must not find the same device free.
      this.#pins.run(signal, ignore, async () => {
        const volume = await pinnable(stream, device, this.#state.streams());
        const record = this.#state.stream(stream) ?? { stream, volume, lastUsed: null, error: null };
        await this.#state.put(record);
        return streamStatus(record, null, this.#conditions);
      }),
    );
  }

  async forget(stream: string, removeVolume: boolean, options: CallOptions = {}): Promise<void> {
    checkStreamName(stream);
    await this.#runs.run('forget', stream, options, async () => {
      const { volume } = this.#record(stream);
      if (removeVolume && volume.kind === 'file') await this.#removeVolume(stream, volume.path);
      await this.#state.remove(stream);
    });
  }

  /** Streams whose work has not moved on for so many seconds. */
  stalled(seconds: number): string[] {
    return this.#runs.stalled(seconds);
  }

  /** Stops all work, waits until it has been put in order, and lets go of the state directory. */
  async close(): Promise<void> {
    await this.#runs.stop();
    await this.#directory.close();
  }

  #cache(): CachePlace {
    const { stateDirectory, cache } = this.#options;
    const place = { directory: join(stateDirectory, 'cache'), maxBytes: DEFAULT_CACHE_BYTES };
    return { directory: cache?.directory ?? place.directory, maxBytes: cache?.maxBytes ?? place.maxBytes };
  }

  #store(): string {
    const { store } = this.#options;
    if (store !== undefined) return store;
    throw new ImageUnpackerError(
      'CONFIGURATION',
      'The agent was started without a store; start it with --store DIR',
    );
  }

  #places(volume: VolumePlace): { stateDirectory: string; volume: VolumePlace } {
    return { stateDirectory: this.#directory.path, volume };
  }

  #record(stream: string): StreamRecord {
    const record = this.#state.stream(stream);
    if (record !== undefined) return record;
    const remedy = `pin one with 'image-unpacker pin ${stream} --device DEV'`;
    throw new ImageUnpackerError('VOLUME_UNKNOWN', `The stream ${stream} has no volume; ${remedy}`);
  }

  /** The record of a stream, which gets a volume of its own if it has none and that is wanted and possible. */
  async #recordFor(stream: string, create: boolean): Promise<StreamRecord> {
    const { volumes } = this.#options;
    if (!create || volumes === undefined || this.#state.stream(stream) !== undefined)
      return this.#record(stream);
    const record = { stream, volume: ownVolume(stream, volumes), lastUsed: null, error: null };
    await this.#state.put(record);
    return record;
  }

  async #succeeded(record: StreamRecord): Promise<void> {
    const volume = record.volume.kind === 'file' ? { ...record.volume, made: true } : record.volume;
    await this.#state.put({ ...record, volume, lastUsed: new Date().toISOString(), error: null });
  }

  async #failed(record: StreamRecord, reason: unknown): Promise<void> {
    const { volume } = record;
    if (volume.kind === 'file' && !volume.made && (await fileSize(volume.path)) === undefined) {
      await this.#state.remove(record.stream);
      return;
    }
    const { code, message } = ImageUnpackerError.from(reason, 'The unpack failed');
    await this.#state.put({ ...record, lastUsed: new Date().toISOString(), error: { code, message } });
  }

  async #removeVolume(stream: string, path: string): Promise<void> {
    const condition = await this.#conditions.read(stream, path).catch(() => undefined);
    await removeVolumeFile(path);
    const record = condition?.record ?? null;
    if (record !== null) await removeVolumeFile(record);
  }
}

function checkDigest(digest: string): void {
  if (DIGEST.test(digest)) return;
  throw new ImageUnpackerError('USAGE', `"${digest}" is no digest of an image: 128 lower-case hex digits`);
}
