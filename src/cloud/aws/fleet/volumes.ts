import { createHash } from 'node:crypto';
import type { Filter, Volume } from '@aws-sdk/client-ec2';
import { ImageUnpackerError } from '../../../image/error.js';
import type { Tags } from '../../cloud.js';
import { TAG } from '../../cloud.js';
import type { EncryptionKey } from '../encryption.js';
import { AwsError, isAnswer, isMissing } from '../fault.js';
import type { CallOptions } from '../session.js';
import { fromTagList, MANAGED_BY, toTagList } from '../tags.js';
import { waitFor } from '../wait.js';
import type { FleetInstance, FleetPlace } from './instances.js';

/** What volumes are called, as in the reference system. */
const VOLUME_NAME = 'image unpacker';
/** Volumes that were made and removed again under one token. */
const MOST_ATTEMPTS = 20;
const DEADLINE_SECONDS = 300;
/** What is free for volumes of one's own on every kind of instance (Device naming on Linux instances). */
const DEVICE_NAMES = Array.from('fghijklmnopbcde', letter => `/dev/sd${letter}`);
const PAGE = 1000;
const MOST_PAGES = 1000;

/** A volume of ours. */
export interface FleetVolume {
  readonly id: string;
  /** GiB. */
  readonly size: number;
  readonly zone: string;
  readonly state: string;
  readonly tags: Tags;
  readonly createdAt: number;
  /** Of the key that it is encrypted with; undefined when it is not. */
  readonly keyArn: string | undefined;
  readonly attachment: { readonly instanceId: string; readonly state: string } | undefined;
}

/** The serial number by which a system knows a volume (NVMe). */
export function serialOf({ id }: Pick<FleetVolume, 'id'>): string {
  return id.replace('-', '');
}

/** All volumes of ours with these tags, oldest first. */
export async function findVolumes(
  { session }: FleetPlace,
  tags: Tags,
  options: CallOptions,
): Promise<FleetVolume[]> {
  const Filters: Filter[] = Object.entries({ ...tags, [MANAGED_BY.key]: MANAGED_BY.value }).map(
    ([key, value]) => ({ Name: `tag:${key}`, Values: [value.replace(/[*?\\]/g, '\\$&')] }),
  );
  const found: FleetVolume[] = [];
  let token: string | undefined;
  for (let page = 0; page < MOST_PAGES; page++) {
    const input = { Filters, MaxResults: PAGE, NextToken: token };
    const answer = await session.call('DescribeVolumes', input, options);
    found.push(...(answer.Volumes ?? []).map(fleetVolume));
    token = answer.NextToken;
    if (token === undefined || token === '') break;
  }
  return found
    .filter(({ state }) => !/^(deleting|deleted|error)$/.test(state))
    .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
}

/** A volume by its id; undefined when it is gone. */
async function findVolume(
  { session }: FleetPlace,
  id: string,
  options: CallOptions,
): Promise<FleetVolume | undefined> {
  try {
    const { Volumes = [] } = await session.call('DescribeVolumes', { VolumeIds: [id] }, options);
    return Volumes.map(fleetVolume).find(volume => volume.id === id);
  } catch (reason) {
    if (isMissing(reason)) return undefined;
    throw reason;
  }
}

function fleetVolume(volume: Volume): FleetVolume {
  const { VolumeId, Size, AvailabilityZone, State, Tags, CreateTime, Attachments } = volume;
  const [attachment] = Attachments ?? [];
  return {
    id: VolumeId ?? '',
    size: Size ?? 0,
    zone: AvailabilityZone ?? '',
    state: State ?? '',
    tags: fromTagList(Tags),
    createdAt: CreateTime?.getTime() ?? 0,
    keyArn: volume.Encrypted === true ? volume.KmsKeyId : undefined,
    attachment:
      attachment?.InstanceId === undefined
        ? undefined
        : { instanceId: attachment.InstanceId, state: attachment.State ?? '' },
  };
}

/** A volume that is to be made. */
export interface NewVolume {
  readonly zone: string;
  /** GiB. */
  readonly size: number;
  readonly key: EncryptionKey;
  readonly tags: Tags;
  /** What is made under one token is one volume, for as long as it is there. */
  readonly token: string;
}

/** Makes an encrypted volume (gp3), or finds the one that was made under the token. */
export async function createVolume(
  { session, target }: FleetPlace,
  { zone, size, key, tags, token }: NewVolume,
  options: CallOptions,
): Promise<FleetVolume> {
  const Tags = toTagList({ ...tags, [TAG.name]: VOLUME_NAME, [MANAGED_BY.key]: MANAGED_BY.value });
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const input = {
      AvailabilityZone: zone,
      Size: size,
      VolumeType: 'gp3' as const,
      Encrypted: true,
      ...(key.isDefault || key.arn === undefined ? {} : { KmsKeyId: key.arn }),
      TagSpecifications: [{ ResourceType: 'volume' as const, Tags }],
      ClientToken: createHash('sha256')
        .update(JSON.stringify([token, zone, size, attempt]))
        .digest('hex'),
    };
    try {
      return fleetVolume(await session.call('CreateVolume', input, options));
    } catch (reason) {
      // A token answers for ever with its first volume, and with this when that is gone.
      if (!isAnswer(reason, /^IdempotentParameterMismatch$/)) throw reason;
    }
  }
  const message = `EC2 gives only volumes for ${target} that are gone already; publish again, as another run`;
  throw new ImageUnpackerError('CLOUD_FAILED', message, { target });
}

/**
 * Attaches a volume to an instance in its zone, and waits until it is; one that is attached there is left so. Throws
 * `CLOUD_BUSY` when it is attached to another one, `QUOTA_EXCEEDED` when there is no room for it, `TIMEOUT`.
 */
export async function attachVolume(
  place: FleetPlace,
  id: string,
  instance: FleetInstance,
  options: CallOptions,
): Promise<FleetVolume> {
  const { target, session } = place;
  const refused = new Set<string>();
  const what = `the volume ${id} to be attached to ${instance.id}`;
  const waiting = { what, deadlineSeconds: DEADLINE_SECONDS, target, signal: options.signal };
  return waitFor(session, waiting, async () => {
    const volume = await findVolume(place, id, options);
    const { attachment } = volume ?? {};
    if (
      attachment !== undefined &&
      attachment.instanceId !== instance.id &&
      attachment.state !== 'detaching'
    ) {
      const message = `The volume ${id} in ${target} is attached to ${attachment.instanceId}; detach it there`;
      throw new ImageUnpackerError('CLOUD_BUSY', message, { target });
    }
    if (attachment?.state === 'attached') return volume;
    if (attachment !== undefined || volume?.state !== 'available') return undefined;
    const Device = DEVICE_NAMES.find(name => !refused.has(name));
    if (Device === undefined) {
      const message = `All names for devices of ${instance.id} in ${target} are taken; detach what is not used: 'ami-publisher remove-unused-volumes'`;
      throw new ImageUnpackerError('QUOTA_EXCEEDED', message, { target });
    }
    try {
      await session.call('AttachVolume', { Device, InstanceId: instance.id, VolumeId: id }, options);
    } catch (reason) {
      // An answer of ours may have been lost: what it is attached to is looked at once more.
      if (isNameTaken(reason)) refused.add(Device);
      else if (!isAnswer(reason, /^(VolumeInUse|IncorrectState)$/)) throw reason;
    }
    return undefined;
  });
}

function isNameTaken(reason: unknown): boolean {
  return reason instanceof AwsError && /already in use/.test(reason.fault.message);
}

/** When a volume was changed last, in milliseconds since 1970; undefined where it never was, as far as AWS remembers. */
export async function lastChangeOf(
  { session }: FleetPlace,
  id: string,
  options: CallOptions,
): Promise<number | undefined> {
  // Asked by its id, a volume that was never changed is an error.
  const Filters = [{ Name: 'volume-id', Values: [id] }];
  const { VolumesModifications = [] } = await session.call(
    'DescribeVolumesModifications',
    { Filters },
    options,
  );
  const times = VolumesModifications.flatMap(({ StartTime }) => StartTime?.getTime() ?? []);
  return times.length === 0 ? undefined : Math.max(...times);
}

/** Makes a volume as large as wanted, in place, and waits until it is. Throws `QUOTA_EXCEEDED` when it was grown too recently. */
export async function growVolume(
  place: FleetPlace,
  id: string,
  size: number,
  options: CallOptions,
): Promise<FleetVolume> {
  const { session, target } = place;
  try {
    await session.call('ModifyVolume', { VolumeId: id, Size: size }, options);
  } catch (reason) {
    // It grows already, be it that our answer was lost.
    const grows = isAnswer(reason, /^(IncorrectModificationState|VolumeModificationRateExceeded)$/);
    if (!grows) throw reason;
    const current = await findVolume(place, id, options);
    if (isAnswer(reason, /RateExceeded$/) && (current?.size ?? 0) < size) {
      const remedy = `publish again then, or detach and delete ${id}, and a larger one is made: images are in their snapshots`;
      const message = `The volume ${id} in ${target} must grow to ${String(size)} GiB, and was changed too recently: ${reason.fault.message} (AWS); ${remedy}`;
      throw new ImageUnpackerError('QUOTA_EXCEEDED', message, { target }, reason);
    }
  }
  const what = `the volume ${id} to have ${String(size)} GiB`;
  const waiting = { what, deadlineSeconds: DEADLINE_SECONDS, target, signal: options.signal };
  return waitFor(session, waiting, async () => {
    const volume = await findVolume(place, id, options);
    return volume !== undefined && volume.size >= size ? volume : undefined;
  });
}

/** Detaches a volume and removes it. One that is gone is no error. */
export async function removeVolume(place: FleetPlace, id: string, options: CallOptions): Promise<void> {
  const { session, target } = place;
  const what = `the volume ${id} to be removed`;
  const waiting = { what, deadlineSeconds: DEADLINE_SECONDS, target, signal: options.signal };
  await waitFor(session, waiting, async () => {
    const volume = await findVolume(place, id, options);
    if (volume === undefined) return true;
    try {
      if (volume.attachment === undefined) await session.call('DeleteVolume', { VolumeId: id }, options);
      else if (volume.attachment.state !== 'detaching')
        await session.call('DetachVolume', { VolumeId: id }, options);
    } catch (reason) {
      if (isMissing(reason)) return true;
      if (!isAnswer(reason, /^(VolumeInUse|IncorrectState)$/)) throw reason;
    }
    return undefined;
  });
}

/** Sets tags of a volume, and removes others. */
export async function tagVolume(
  { session }: FleetPlace,
  id: string,
  { set = {}, remove = [] }: { set?: Tags; remove?: readonly string[] },
  options: CallOptions,
): Promise<void> {
  const Resources = [id];
  if (Object.keys(set).length > 0)
    await session.call('CreateTags', { Resources, Tags: toTagList(set) }, options);
  if (remove.length > 0)
    await session.call('DeleteTags', { Resources, Tags: remove.map(Key => ({ Key })) }, options);
}
