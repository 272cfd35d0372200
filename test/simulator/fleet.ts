import { createHash } from 'node:crypto';
import type { Form } from './ec2.js';
import { filtersHold, listOf, tagMatches, tagSet, tagsOf } from './ec2.js';
import { ServiceFault } from './fault.js';
import type { Place, Snapshot, World } from './state.js';
import type { Xml } from './xml.js';
import { element, set, text } from './xml.js';

/*
 * Instances and volumes of EC2. Volumes hold blocks as snapshots do; who stands for an agent reads and writes those of
 * the volumes that are attached to its instance. States follow from the clock.
 */

const MODIFY_HOURS = 24;
const MOST_CHANGES = 4;

export type InstanceState = 'pending' | 'running' | 'stopping' | 'stopped';

export interface Instance {
  id: string;
  tags: Map<string, string>;
  zone: string;
  address: string;
  state: InstanceState;
  /** When it got into its state. */
  since: number;
}

export interface Volume {
  id: string;
  size: number;
  zone: string;
  tags: Map<string, string>;
  createdAt: number;
  encrypted: boolean;
  keyArn: string | undefined;
  type: string;
  attachment: { instanceId: string; device: string; at: number; detachedAt: number | undefined } | undefined;
  /** What it is to grow to, and when that was asked for. */
  growth: { size: number; at: number } | undefined;
  /** When it was changed. */
  changes: number[];
  blocks: Map<number, string>;
}

/** What stands for the systems of instances, where volumes are devices: it is told what becomes of them. */
export interface Machines {
  attach(volume: Volume, instanceId: string): void;
  detach(volume: Volume): void;
  /** Its size is a larger one. */
  grow(volume: Volume): void;
  /** It is no more. */
  remove(volume: Volume): void;
  /** What the blocks of it that are not zeros hold now, by number. */
  read(volume: Volume): Iterable<readonly [number, Buffer]>;
}

/** The instances and volumes of an account and region. */
export class Fleet {
  machines: Machines | undefined;
  readonly instances = new Map<string, Instance>();
  readonly volumes = new Map<string, Volume>();
  readonly tokens = new Map<string, { body: string; id: string }>();
}

const fleets = new WeakMap<Place, Fleet>();

export function fleetOf(place: Place): Fleet {
  const known = fleets.get(place) ?? new Fleet();
  fleets.set(place, known);
  return known;
}

/** Puts an unpacker there. */
export function addInstance(
  world: World,
  place: Place,
  given: Partial<Pick<Instance, 'state' | 'zone' | 'address'>> & { tags?: Record<string, string> } = {},
): Instance {
  const { state = 'running', zone = `${place.region}a`, address = '127.0.0.1', tags = {} } = given;
  const all = new Map(Object.entries({ Name: 'ImageUnpacker', ...tags }));
  const instance = { id: world.id('i'), tags: all, zone, address, state, since: world.clock.now() };
  fleetOf(place).instances.set(instance.id, instance);
  return instance;
}

/** The state of an instance now. */
export function instanceState(world: World, instance: Instance): InstanceState {
  const seconds = (world.clock.now() - instance.since) / 1000;
  if (instance.state === 'pending' && seconds >= world.fleetTiming.start) instance.state = 'running';
  if (instance.state === 'stopping' && seconds >= world.fleetTiming.stop) instance.state = 'stopped';
  return instance.state;
}

/** The state of a volume's attachment now. */
export function attachmentState(
  world: World,
  volume: Volume,
): 'attaching' | 'attached' | 'detaching' | undefined {
  const { attachment } = volume;
  if (attachment === undefined) return undefined;
  const now = world.clock.now();
  if (attachment.detachedAt !== undefined) {
    if (now - attachment.detachedAt < world.fleetTiming.detach * 1000) return 'detaching';
    volume.attachment = undefined;
    return undefined;
  }
  return now - attachment.at < world.fleetTiming.attach * 1000 ? 'attaching' : 'attached';
}

/** The volumes that an instance's system sees. */
export function devicesOf(world: World, place: Place, instanceId: string): Volume[] {
  return [...fleetOf(place).volumes.values()].filter(volume => {
    grown(world, place, volume);
    return volume.attachment?.instanceId === instanceId && attachmentState(world, volume) === 'attached';
  });
}

function grown(world: World, place: Place, volume: Volume): void {
  const { growth } = volume;
  if (growth !== undefined && world.clock.now() - growth.at >= world.fleetTiming.modify * 1000) {
    if (volume.size >= growth.size) return;
    volume.size = growth.size;
    fleetOf(place).machines?.grow(volume);
  }
}

function volumeState(world: World, volume: Volume): string {
  if (attachmentState(world, volume) !== undefined) return 'in-use';
  const seconds = (world.clock.now() - volume.createdAt) / 1000;
  return seconds < world.fleetTiming.createVolume ? 'creating' : 'available';
}

type Operation = (world: World, place: Place, form: Form) => Xml;

export const FLEET_OPERATIONS: Readonly<Record<string, Operation>> = {
  DescribeVolumes: (world, place, form) => {
    const { volumes } = fleetOf(place);
    const ids = listOf(form, 'VolumeId');
    for (const id of ids) requireVolume(place, id);
    const found = [...volumes.values()].filter(
      volume =>
        (ids.length === 0 || ids.includes(volume.id)) &&
        filtersHold(form, (name, values) => {
          if (name.startsWith('tag:')) return tagMatches(volume.tags, name, values);
          if (name === 'attachment.instance-id') return values.includes(volume.attachment?.instanceId ?? '');
          return name === 'status' && values.includes(volumeState(world, volume));
        }),
    );
    return set(
      'volumeSet',
      found.map(volume => describeVolume(world, place, volume)),
    );
  },
  DescribeVolumesModifications: (world, place, form) =>
    set(
      'volumeModificationSet',
      [...fleetOf(place).volumes.values()]
        .filter(
          ({ id, changes }) =>
            changes.length > 0 && filtersHold(form, (name, ids) => name === 'volume-id' && ids.includes(id)),
        )
        .map(
          ({ id, changes }) =>
            text('volumeId', id) +
            text('modificationState', 'completed') +
            text('startTime', new Date(changes.at(-1)!).toISOString()),
        ),
    ),
  StartInstances: (world, place, form) => changeState(world, place, form, ['stopped', 'pending', 'running']),
  StopInstances: (world, place, form) => changeState(world, place, form, ['running', 'stopping', 'stopped']),
  CreateVolume: createVolume,
  AttachVolume: (world, place, form) => {
    const volume = requireVolume(place, form.get('VolumeId') ?? '');
    const instance = requireInstance(place, form.get('InstanceId') ?? '');
    const device = form.get('Device') ?? '';
    const state = volumeState(world, volume);
    if (state === 'in-use') throw fault('VolumeInUse', `${volume.id} is already attached to an instance`);
    if (state !== 'available') throw fault('IncorrectState', `${volume.id} is not 'available'.`);
    if (volume.zone !== instance.zone) throw fault('InvalidVolume.ZoneMismatch', 'other zone');
    const taken = [...fleetOf(place).volumes.values()].some(
      other =>
        attachmentState(world, other) !== undefined &&
        other.attachment?.instanceId === instance.id &&
        other.attachment.device === device,
    );
    if (taken) {
      const message = `Invalid value '${device}' for unixDevice. Attachment point ${device} is already in use`;
      throw fault('InvalidParameterValue', message);
    }
    volume.attachment = { instanceId: instance.id, device, at: world.clock.now(), detachedAt: undefined };
    fleetOf(place).machines?.attach(volume, instance.id);
    return text('volumeId', volume.id) + text('status', 'attaching');
  },
  DetachVolume: (world, place, form) => {
    const volume = requireVolume(place, form.get('VolumeId') ?? '');
    if (attachmentState(world, volume) === undefined) {
      throw fault('IncorrectState', `Volume '${volume.id}' is in the 'available' state.`);
    }
    if (volume.attachment!.detachedAt === undefined) fleetOf(place).machines?.detach(volume);
    volume.attachment!.detachedAt ??= world.clock.now();
    return text('volumeId', volume.id) + text('status', 'detaching');
  },
  DeleteVolume: (world, place, form) => {
    const volume = requireVolume(place, form.get('VolumeId') ?? '');
    if (attachmentState(world, volume) !== undefined) {
      throw fault(
        'VolumeInUse',
        `Volume ${volume.id} is currently attached to ${volume.attachment!.instanceId}`,
      );
    }
    fleetOf(place).volumes.delete(volume.id);
    fleetOf(place).machines?.remove(volume);
    return text('return', 'true');
  },
  ModifyVolume: (world, place, form) => {
    const volume = requireVolume(place, form.get('VolumeId') ?? '');
    const size = Number(form.get('Size'));
    if (size < volume.size) throw fault('InvalidParameterValue', 'New size cannot be smaller');
    const now = world.clock.now();
    const recent = volume.changes.filter(at => now - at < MODIFY_HOURS * 3_600_000);
    if (recent.length >= MOST_CHANGES) {
      const next = new Date(recent[0]! + MODIFY_HOURS * 3_600_000).toISOString();
      const message = `You've reached the maximum modification rate per volume limit. Try again at ${next}.`;
      throw fault('VolumeModificationRateExceeded', message);
    }
    volume.changes = [...recent, now];
    volume.growth = { size, at: now };
    return element(
      'volumeModification',
      text('volumeId', volume.id) + text('modificationState', 'modifying'),
    );
  },
  CreateSnapshot: (world, place, form) => {
    const volume = requireVolume(place, form.get('VolumeId') ?? '');
    const held = fleetOf(place).machines?.read(volume);
    if (held !== undefined) {
      volume.blocks = new Map(Array.from(held, ([number, block]) => [number, world.keep(block)]));
    }
    const snapshot: Snapshot = {
      id: world.id('snap'),
      size: volume.size,
      tags: tagsOf(form, 'TagSpecification.1.Tag'),
      description: form.get('Description') ?? '',
      startedAt: world.clock.now(),
      parent: undefined,
      blocks: new Map(volume.blocks),
      encrypted: volume.encrypted,
      keyArn: volume.keyArn,
      // It is sealed so late that it is complete when EBS would be done with it.
      sealedAt: world.clock.now() + (world.fleetTiming.snapshot - world.timing.complete) * 1000,
      fault: undefined,
    };
    place.snapshots.set(snapshot.id, snapshot);
    return text('snapshotId', snapshot.id) + text('status', 'pending') + text('volumeId', volume.id);
  },
};

/** Instances as DescribeInstances shows them. */
export function describeFleetInstances(world: World, place: Place, form: Form): Xml {
  const ids = listOf(form, 'InstanceId');
  for (const id of ids) requireInstance(place, id);
  const found = [...fleetOf(place).instances.values()].filter(
    instance =>
      (ids.length === 0 || ids.includes(instance.id)) &&
      filtersHold(form, (name, values) =>
        name === 'instance-state-name'
          ? values.includes(instanceState(world, instance))
          : name.startsWith('tag:') && tagMatches(instance.tags, name, values),
      ),
  );
  return set(
    'reservationSet',
    found.map(instance => set('instancesSet', [describeInstance(world, instance)])),
  );
}

function describeInstance(world: World, instance: Instance): Xml {
  const state = instanceState(world, instance);
  return [
    text('instanceId', instance.id),
    element('instanceState', text('name', state)),
    text('privateIpAddress', instance.address),
    element('placement', text('availabilityZone', instance.zone)),
    text('launchTime', new Date(instance.since).toISOString()),
    tagSet(instance.tags),
  ].join('');
}

function changeState(
  world: World,
  place: Place,
  form: Form,
  path: readonly [InstanceState, InstanceState, InstanceState],
): Xml {
  const [from, by] = path;
  const instances = listOf(form, 'InstanceId').map(id => requireInstance(place, id));
  const items = instances.map(instance => {
    const before = instanceState(world, instance);
    if (before !== from && !path.includes(before)) {
      const message = `The instance '${instance.id}' is not in a state from which it can be ${by}.`;
      throw fault('IncorrectInstanceState', message);
    }
    if (before === from) Object.assign(instance, { state: by, since: world.clock.now() });
    return (
      text('instanceId', instance.id) +
      element('previousState', text('name', before)) +
      element('currentState', text('name', instance.state))
    );
  });
  return set('instancesSet', items);
}

function createVolume(world: World, place: Place, form: Form): Xml {
  const fleet = fleetOf(place);
  const token = form.get('ClientToken');
  const body = createHash('sha256')
    .update([...form].map(String).sort().join('&'))
    .digest('hex');
  const known = token === null ? undefined : fleet.tokens.get(token);
  if (known !== undefined) {
    const volume = fleet.volumes.get(known.id);
    if (known.body !== body || volume === undefined) {
      throw fault('IdempotentParameterMismatch', 'Parameters on this idempotent request are inconsistent');
    }
    return describeVolume(world, place, volume);
  }
  const zone = form.get('AvailabilityZone');
  if (zone === null)
    throw fault('MissingParameter', 'The request must contain the parameter AvailabilityZone');
  const encrypted = form.get('Encrypted') === 'true';
  const key = place.findKey(form.get('KmsKeyId') ?? 'alias/aws/ebs');
  const volume: Volume = {
    id: world.id('vol'),
    size: Number(form.get('Size')),
    zone,
    tags: tagsOf(form, 'TagSpecification.1.Tag'),
    createdAt: world.clock.now(),
    encrypted,
    keyArn: encrypted ? key?.arn : undefined,
    type: form.get('VolumeType') ?? 'gp2',
    attachment: undefined,
    growth: undefined,
    changes: [],
    blocks: new Map(),
  };
  fleet.volumes.set(volume.id, volume);
  if (token !== null) fleet.tokens.set(token, { body, id: volume.id });
  return describeVolume(world, place, volume);
}

function describeVolume(world: World, place: Place, volume: Volume): Xml {
  grown(world, place, volume);
  const state = attachmentState(world, volume);
  const { attachment } = volume;
  const attachments =
    state === undefined || attachment === undefined
      ? []
      : [
          text('volumeId', volume.id) +
            text('instanceId', attachment.instanceId) +
            text('device', attachment.device) +
            text('status', state),
        ];
  return [
    text('volumeId', volume.id),
    text('size', String(volume.size)),
    text('availabilityZone', volume.zone),
    text('status', volumeState(world, volume)),
    text('createTime', new Date(volume.createdAt).toISOString()),
    text('volumeType', volume.type),
    text('encrypted', String(volume.encrypted)),
    text('kmsKeyId', volume.keyArn),
    set('attachmentSet', attachments),
    tagSet(volume.tags),
  ].join('');
}

function requireVolume(place: Place, id: string): Volume {
  const volume = fleetOf(place).volumes.get(id);
  if (volume !== undefined) return volume;
  throw fault('InvalidVolume.NotFound', `The volume '${id}' does not exist.`);
}

function requireInstance(place: Place, id: string): Instance {
  const instance = fleetOf(place).instances.get(id);
  if (instance !== undefined) return instance;
  throw fault('InvalidInstanceID.NotFound', `The instance ID '${id}' does not exist`);
}

function fault(code: string, message: string): ServiceFault {
  return new ServiceFault(400, code, message);
}
