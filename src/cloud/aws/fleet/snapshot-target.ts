import { createHash } from 'node:crypto';
import { ImageUnpackerError } from '../../../image/error.js';
import { parseImageName } from '../../../image/name.js';
import type {
  CloudCallOptions,
  DiskMaps,
  ImageDiskRequest,
  PreflightCheck,
  PreflightRequest,
  UnfinishedDisk,
  UnpackDiskOptions,
  UnpackedDisk,
  UnpackOutlook,
} from '../../cloud.js';
import { TAG } from '../../cloud.js';
import { waitForSnapshot } from '../complete-snapshot.js';
import type { DirectTargetOptions } from '../direct-target.js';
import { DirectTarget } from '../direct-target.js';
import type { EncryptionKey } from '../encryption.js';
import { findKey, isEncryptedWith } from '../encryption.js';
import { findSnapshots } from '../find.js';
import { deleteSnapshot } from '../remove.js';
import { fromTagList, PUBLISH_TOKEN, UNFINISHED, visibleTags } from '../tags.js';
import type { ConnectAgent, FleetAgent } from './agent.js';
import type { Choice, Load } from './choose-unpacker.js';
import { chooseUnpacker, findLoads, noUnpacker } from './choose-unpacker.js';
import { liveSnapshots } from './create-snapshot.js';
import type { FleetInstance, FleetPlace } from './instances.js';
import { findInstances, startInstances, UNPACKER_NAME } from './instances.js';
import { pinVolume, prepareVolume, volumeSizes } from './prepare-volume.js';
import { unpackVolume } from './unpack-volume.js';
import type { FleetVolume } from './volumes.js';
import { findVolumes, lastChangeOf, removeVolume, tagVolume } from './volumes.js';

const TOKEN_DIGITS = 32;
/** What an agent takes that boots. */
const BOOT_SECONDS = 600;
/** Another publisher may unpack another image of the stream between our unpack and our snapshot. */
const MOST_TRIES = 3;
/** A volume can be changed four times in so long; how often it was AWS does not tell, only when it was last. */
const CHANGES_MILLISECONDS = 24 * 3_600_000;
const VOLUME = /^vol-/;

/** An account and region whose unpackers images are unpacked on. */
export interface SnapshotTargetOptions extends DirectTargetOptions {
  /** What the instances of unpackers are called; default: `ImageUnpacker`. */
  readonly unpackerName?: string | undefined;
  /** Whether volumes keep nothing in free space, so that snapshots of them hold just what is known. */
  readonly scrub?: boolean | undefined;
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
  readonly #maps: DiskMaps;
  readonly #scrub: boolean;
  readonly #connect: ConnectAgent;

  constructor(options: SnapshotTargetOptions) {
    super(options);
    const { session, target, unpackerName: name = UNPACKER_NAME } = options;
    this.#place = { session, target, name };
    this.#settings = options.settings;
    this.#maps = options.maps;
    this.#scrub = options.scrub === true;
    this.#connect = options.connect;
  }

  async unpackDisk(request: ImageDiskRequest, options: UnpackDiskOptions): Promise<UnpackedDisk> {
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
        : {
            id: begun.SnapshotId,
            blocksWritten: null,
            digest: fromTagList(begun.Tags)[TAG.diskDigest],
          };
    await options.stage('snapshot', () => this.#complete(work, made.id));
    return made;
  }

  /** Unpacks the image and begins the snapshot. */
  async #unpack(work: DiskWork): Promise<UnpackedDisk> {
    const { stage } = work.options;
    const { agent, instance, volume } = await stage('unpacker', () => this.#unpacker(work));
    try {
      const ready = await stage('volume', () => this.#volume(work, agent, instance, volume));
      return await stage('unpack', async progress => {
        for (let attempt = 1; ; attempt++) {
          try {
            return await unpackVolume(this.#place, agent, ready, {
              ...work,
              maps: this.#maps,
              scrub: this.#scrub,
              progress,
            });
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
    const { choice } = await this.#choose(stream, key, signal);
    const [instance] = await startInstances(place, [choice.instance], { signal });
    const up = (place.session.clock.now() - instance!.launchedAt) / 1000;
    const patience = Math.max(60, BOOT_SECONDS - up);
    const agent = await this.#connect(instance!.address!, { patience, signal });
    return { agent, instance: instance!, volume: choice.volume };
  }

  /** The unpacker that a stream is unpacked on, and the volume of the stream if there is one for it. */
  async #choose(
    stream: string,
    key: EncryptionKey,
    signal: AbortSignal | undefined,
  ): Promise<{ choice: Choice; load: Load | undefined }> {
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
    return { choice, load: loads.find(({ instance }) => instance === choice.instance) };
  }

  async unpackOutlook(
    stream: string,
    bytes: bigint,
    { signal }: CloudCallOptions = {},
  ): Promise<UnpackOutlook> {
    const key = await findKey(this.#place.session, this.#settings, this.#place.target, { signal });
    const { choice, load } = await this.#choose(stream, key, signal);
    const { made, enough } = volumeSizes(bytes);
    const size = choice.volume?.size ?? 0;
    const grows = choice.volume !== undefined && size < enough;
    const changed = grows ? await lastChangeOf(this.#place, choice.volume.id, { signal }) : undefined;
    const isRecent =
      changed !== undefined && this.#place.session.clock.now() - changed < CHANGES_MILLISECONDS;
    return {
      unpacker: choice.instance.id,
      runs: choice.instance.state === 'running',
      volume: choice.volume?.id,
      size,
      sizeThen: size >= enough ? size : made,
      changedAt: isRecent ? new Date(changed).toISOString() : undefined,
      digest: choice.volume === undefined ? undefined : (load?.streams?.digests.get(stream) ?? undefined),
    };
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

  /** The calls on unpackers and volumes are tried in place of those that send blocks, and there must be an unpacker. */
  override async preflight(
    request: PreflightRequest,
    options: CloudCallOptions = {},
  ): Promise<PreflightCheck[]> {
    const { signal } = options;
    const instances = await findInstances(this.#place, { signal });
    const [volume] = await findVolumes(this.#place, { [TAG.stream]: request.stream }, { signal });
    const sample = { instance: instances[0], volume: instances.length === 0 ? undefined : volume };
    const checks = await this.preflightWith(request, sample, options);
    const found = { check: 'unpackers', kind: 'quota' } as const;
    if (instances.length > 0)
      return [...checks, { ...found, state: 'ok', message: instances.map(({ id }) => id).join(' ') }];
    const message = `no instance has the tag Name=${this.#place.name}`;
    return [...checks, { ...found, state: 'failed', message }];
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
