import { createHash } from 'node:crypto';
import { ImageUnpackerError } from '../../../image/error.js';
import { parseImageName } from '../../../image/name.js';
import type {
  CloudCallOptions,
  DiskBoot,
  ImageDiskRequest,
  PreflightCheck,
  PreflightRequest,
  UnfinishedDisk,
  UnpackDiskOptions,
} from '../../cloud.js';
import { TAG } from '../../cloud.js';
import { callsFor } from '../calls.js';
import { waitForSnapshot } from '../complete-snapshot.js';
import type { DirectTargetOptions } from '../direct-target.js';
import { DirectTarget } from '../direct-target.js';
import type { EncryptionKey } from '../encryption.js';
import { findKey, isEncryptedWith } from '../encryption.js';
import { findSnapshots } from '../find.js';
import { deleteSnapshot } from '../remove.js';
import { DISK_FACTS, encodeFacts, MANAGED_BY, PUBLISH_TOKEN, UNFINISHED, visibleTags } from '../tags.js';
import type { ConnectAgent, FleetAgent } from './agent.js';
import { chooseUnpacker, findLoads, noUnpacker } from './choose-unpacker.js';
import { createSnapshot, liveSnapshots } from './create-snapshot.js';
import type { FleetInstance, FleetPlace } from './instances.js';
import { findInstances, startInstances, UNPACKER_NAME } from './instances.js';
import { pinVolume, prepareVolume } from './prepare-volume.js';
import type { FleetVolume } from './volumes.js';
import { findVolumes, removeVolume, tagVolume } from './volumes.js';

const TOKEN_DIGITS = 32;
const GIB = 2n ** 30n;
/** What an agent takes that boots. */
const BOOT_SECONDS = 600;
/** Another publisher may unpack another image of the stream between our unpack and our snapshot. */
const MOST_TRIES = 3;
const VOLUME = /^vol-/;

/** An account and region whose unpackers images are unpacked on. */
export interface SnapshotTargetOptions extends DirectTargetOptions {
  /** What the instances of unpackers are called; default: `ImageUnpacker`. */
  readonly unpackerName?: string | undefined;
  readonly connect: ConnectAgent;
}

/** What one disk is made with. */
interface DiskWork {
  readonly request: ImageDiskRequest;
  readonly stream: string;
  readonly token: string;
  readonly key: EncryptionKey;
  readonly options: UnpackDiskOptions;
}

/**
 * An account and region of AWS where images are unpacked to volumes, of which EBS makes the snapshots. What holds of
 * images and snapshots there holds as for `DirectTarget`.
 */
export class SnapshotTarget extends DirectTarget {
  readonly #place: FleetPlace;
  readonly #settings: SnapshotTargetOptions['settings'];
  readonly #connect: ConnectAgent;

  constructor(options: SnapshotTargetOptions) {
    super(options);
    const { session, target, unpackerName: name = UNPACKER_NAME } = options;
    this.#place = { session, target, name };
    this.#settings = options.settings;
    this.#connect = options.connect;
  }

  async unpackDisk(
    request: ImageDiskRequest,
    options: UnpackDiskOptions,
  ): Promise<{ id: string; blocksWritten: number | null }> {
    const { session, target } = this.#place;
    const { signal } = options;
    const key = await findKey(session, this.#settings, target, { signal });
    const token = createHash('sha256').update(request.token).digest('hex').slice(0, TOKEN_DIGITS);
    const { stream } = parseImageName(request.image.name);
    const work: DiskWork = { request, stream, token, key, options };
    // What failed is of no use any more.
    for (const { SnapshotId, State } of await findSnapshots(session, { [PUBLISH_TOKEN]: token }, { signal }))
      if (State === 'error') await deleteSnapshot(session, SnapshotId!, { signal });
    const [begun] = await liveSnapshots(session, token, signal);
    const made =
      begun?.SnapshotId === undefined
        ? await this.#unpack(work)
        : { id: begun.SnapshotId, blocksWritten: null };
    await options.stage('snapshot', () => this.#complete(work, made.id));
    return made;
  }

  /** Unpacks the image and begins the snapshot. */
  async #unpack(work: DiskWork): Promise<{ id: string; blocksWritten: number | null }> {
    const { stage } = work.options;
    const { agent, instance, volume } = await stage('unpacker', () => this.#unpacker(work));
    try {
      const ready = await stage('volume', () => this.#volume(work, agent, instance, volume));
      return await stage('unpack', async progress => {
        for (let attempt = 1; ; attempt++) {
          try {
            return await this.#unpackOnce(work, agent, ready, progress);
          } catch (reason) {
            const code = reason instanceof ImageUnpackerError ? reason.code : undefined;
            const isOthers = code === 'VOLUME_DIFFERENT' || code === 'VOLUME_DOUBTFUL';
            if (!isOthers || attempt === MOST_TRIES) throw reason;
          }
        }
      });
    } finally {
      await agent.close();
    }
  }

  /** An unpacker that runs, with its agent, and the stream's volume if there is one for it. */
  async #unpacker({ stream, key, options: { signal } }: DiskWork): Promise<{
    agent: FleetAgent;
    instance: FleetInstance;
    volume: FleetVolume | undefined;
  }> {
    const place = this.#place;
    const instances = await findInstances(place, { signal });
    const all = await findVolumes(place, { [TAG.stream]: stream }, { signal });
    // Disks have the key that is wanted only when their volume has it.
    const volumes = all.filter(
      ({ keyArn }) => keyArn !== undefined && (key.arn === undefined || keyArn === key.arn),
    );
    const loads = await findLoads(instances, this.#connect, signal);
    const choice = chooseUnpacker(loads, volumes);
    if (choice === undefined) throw noUnpacker(place);
    const [instance] = await startInstances(place, [choice.instance], { signal });
    const up = (place.session.clock.now() - instance!.launchedAt) / 1000;
    const patience = Math.max(60, BOOT_SECONDS - up);
    const agent = await this.#connect(instance!.address!, { patience, signal });
    return { agent, instance: instance!, volume: choice.volume };
  }

  async #volume(
    { request, stream, key, options: { signal } }: DiskWork,
    agent: FleetAgent,
    instance: FleetInstance,
    volume: FleetVolume | undefined,
  ): Promise<FleetVolume> {
    const wanted = { stream, bytes: request.image.bytes, key, run: request.tags[TAG.run] ?? '' };
    const ready = await prepareVolume(this.#place, instance, volume, wanted, signal);
    await pinVolume(this.#place, agent, stream, ready, signal);
    return ready;
  }

  async #unpackOnce(
    { request, stream, token, options: { signal, note } }: DiskWork,
    agent: FleetAgent,
    volume: FleetVolume,
    tell: (
      what: string,
      done: number,
      total: number | null,
      unit: 'bytes' | 'entries' | 'files' | null,
    ) => void,
  ): Promise<{ id: string; blocksWritten: number | null }> {
    const { session, target } = this.#place;
    const { name, digest } = request.image;
    const onProgress: Parameters<FleetAgent['unpack']>[1]['onProgress'] = ({ step, done, total, unit }) => {
      tell(step, done, total, unit);
    };
    const result = await agent.unpack({ image: name, digest, create: true }, { signal, onProgress });
    for (const warning of result.warnings) note(warning);
    // Held, it is unmounted, the image, and nobody writes to it: EBS takes it as it is when it is asked.
    const held = await agent.capture(stream, digest, { signal, onProgress });
    try {
      const tags = { ...request.tags, ...this.#ownTags(volume, digest, result.boot) };
      const description = request.tags[TAG.name] ?? name;
      const wanted = { volumeId: volume.id, token, tags, description, target, signal };
      const id = await createSnapshot(session, wanted);
      return { id, blocksWritten: result.blocksWritten };
    } finally {
      await held.close();
    }
  }

  #ownTags(volume: FleetVolume, imageDigest: string, boot: DiskBoot | null): Record<string, string> {
    const facts = {
      size: BigInt(volume.size) * GIB,
      at: undefined,
      // A disk that EBS copies has what was left in free space too, so no map tells what it holds, and none must be
      // found for it: its digest is that of the image, cut to the length.
      digest: imageDigest.slice(0, 64),
      boot: boot === null ? undefined : { ...boot },
      parent: undefined,
    };
    return { [MANAGED_BY.key]: MANAGED_BY.value, [DISK_FACTS]: encodeFacts(facts) };
  }

  /** Waits for the snapshot, and sees to it that there is only one. */
  async #complete({ token, key, stream, request, options: { signal } }: DiskWork, id: string): Promise<void> {
    const { session, target } = this.#place;
    const complete = await waitForSnapshot(session, id, { target, signal });
    if (!isEncryptedWith(complete, key)) {
      const message = `The snapshot ${id} in ${target} is not encrypted with ${key.arn ?? 'the default key'}`;
      throw new ImageUnpackerError('CLOUD_FAILED', message, { target });
    }
    for (const { SnapshotId } of await liveSnapshots(session, token, signal)) {
      if (SnapshotId !== id) await deleteSnapshot(session, SnapshotId!, { signal });
    }
    const run = request.tags[TAG.run] ?? '';
    for (const volume of await findVolumes(
      this.#place,
      { [TAG.stream]: stream, [TAG.run]: run },
      { signal },
    )) {
      if (volume.tags[UNFINISHED] === undefined) continue;
      await tagVolume(this.#place, volume.id, { remove: [UNFINISHED] }, { signal });
    }
  }

  /** What unpackers and their volumes take is not tried, but that there is one is. */
  override async preflight(
    request: PreflightRequest,
    options: CloudCallOptions = {},
  ): Promise<PreflightCheck[]> {
    const checks = await super.preflight(request, options);
    const uploads = new Set<string>(callsFor(['upload']));
    const instances = await findInstances(this.#place, { signal: options.signal });
    const { name } = this.#place;
    const found: PreflightCheck =
      instances.length === 0
        ? {
            check: 'unpackers',
            kind: 'quota',
            state: 'failed',
            message: `no instance has the tag Name=${name}`,
          }
        : {
            check: 'unpackers',
            kind: 'quota',
            state: 'ok',
            message: instances.map(({ id }) => id).join(' '),
          };
    return [...checks.filter(({ check }) => !uploads.has(check)), found];
  }

  override async unfinished(options: CloudCallOptions = {}): Promise<UnfinishedDisk[]> {
    const { signal } = options;
    const volumes = await findVolumes(this.#place, {}, { signal });
    const now = this.#place.session.clock.now();
    return [
      ...(await super.unfinished(options)),
      ...volumes
        .filter(({ tags }) => tags[TAG.run] !== undefined)
        .map(({ id, tags, createdAt }) => ({
          id,
          tags: visibleTags(tags),
          // One that a snapshot was made of is its stream's, and goes only with the run that made it.
          since: new Date(tags[UNFINISHED] === undefined ? now : createdAt).toISOString(),
        })),
    ];
  }

  override async removeDisk(diskId: string, options: CloudCallOptions = {}): Promise<void> {
    if (!VOLUME.test(diskId)) return super.removeDisk(diskId, options);
    return removeVolume(this.#place, diskId, { signal: options.signal });
  }
}
