import { ServiceFault } from './fault.js';
import { describeFleetInstances, fleetOf, FLEET_OPERATIONS } from './fleet.js';
import type { Image, Place, Snapshot, World } from './state.js';
import { USER_OPERATIONS } from './users.js';
import type { Xml } from './xml.js';
import { element, set, text } from './xml.js';

/* EC2 by its query protocol, as far as publishing takes it. */

export type Form = URLSearchParams;

/** The values of a list: `ImageId.1`, `ImageId.2` … */
export function listOf(form: Form, name: string): string[] {
  const found = [...form].filter(([key]) => new RegExp(`^${name}\\.\\d+$`).test(key));
  return found
    .sort(([a], [b]) => Number(a.split('.').at(-1)) - Number(b.split('.').at(-1)))
    .map(([, value]) => value);
}

export function tagsOf(form: Form, prefix: string): Map<string, string> {
  const tags = new Map<string, string>();
  for (let at = 1; form.has(`${prefix}.${String(at)}.Key`); at++) {
    tags.set(form.get(`${prefix}.${String(at)}.Key`)!, form.get(`${prefix}.${String(at)}.Value`) ?? '');
  }
  return tags;
}

type Matches = (name: string, values: readonly string[]) => boolean;

export function filtersHold(form: Form, matches: Matches): boolean {
  for (let at = 1; form.has(`Filter.${String(at)}.Name`); at++) {
    const prefix = `Filter.${String(at)}`;
    if (!matches(form.get(`${prefix}.Name`)!, listOf(form, `${prefix}.Value`))) return false;
  }
  return true;
}

export function tagMatches(
  tags: ReadonlyMap<string, string>,
  name: string,
  values: readonly string[],
): boolean {
  const plain = values.map(value => value.replace(/\\(.)/g, '$1'));
  return plain.includes(tags.get(name.slice('tag:'.length)) ?? '\0');
}

function missing(parameter: string): ServiceFault {
  return new ServiceFault(400, 'MissingParameter', `The request must contain the parameter ${parameter}`);
}

/** A page of a list; EC2's may be shorter than was asked for. */
function page<T>(
  { pageSize }: World,
  form: Form,
  all: readonly T[],
  ids: string,
): { items: readonly T[]; next: string | undefined } {
  const most = form.get('MaxResults');
  if (most === null) return { items: all, next: undefined };
  if (form.has('ImageId.1') || form.has('SnapshotId.1')) {
    const message = `The parameter ${ids} cannot be used with the parameter maxResults`;
    throw new ServiceFault(400, 'InvalidParameterCombination', message);
  }
  if (Number(most) < 5) {
    const message = `Invalid value '${most}' for maxResults. Expecting a value greater than 5.`;
    throw new ServiceFault(400, 'InvalidParameterValue', message);
  }
  const from = Number(form.get('NextToken') ?? 0);
  const to = from + Math.min(Number(most), pageSize);
  return { items: all.slice(from, to), next: to < all.length ? String(to) : undefined };
}

type Operation = (world: World, place: Place, form: Form) => Xml;

const OPERATIONS: Readonly<Record<string, Operation>> = {
  DescribeSnapshots: (world, place, form) => {
    const ids = listOf(form, 'SnapshotId');
    for (const id of ids) if (!place.snapshots.has(id)) throw noSnapshot(id);
    const found = [...place.snapshots.values()].filter(
      snapshot =>
        (ids.length === 0 || ids.includes(snapshot.id)) &&
        filtersHold(
          form,
          (name, values) => name.startsWith('tag:') && tagMatches(snapshot.tags, name, values),
        ),
    );
    const { items, next } = page(world, form, found, 'snapshotIds');
    return (
      set(
        'snapshotSet',
        items.map(snapshot => describeSnapshot(world, place, snapshot)),
      ) + text('nextToken', next)
    );
  },
  DeleteSnapshot: (_, place, form) => {
    const id = form.get('SnapshotId') ?? '';
    if (!place.snapshots.has(id)) throw noSnapshot(id);
    const users = [...place.images.values()].filter(
      ({ snapshotId, more = [] }) => snapshotId === id || more.includes(id),
    );
    if (users.length > 0) {
      const message = `The snapshot ${id} is currently in use by ${users.map(({ id: user }) => user).join(', ')}`;
      throw new ServiceFault(400, 'InvalidSnapshot.InUse', message);
    }
    place.snapshots.delete(id);
    return text('return', 'true');
  },
  DescribeImages: (world, place, form) => {
    const ids = listOf(form, 'ImageId');
    const unknown = ids.find(id => !place.images.has(id) && !world.wasImage(id));
    if (unknown !== undefined) {
      throw new ServiceFault(400, 'InvalidAMIID.NotFound', `The image id '[${unknown}]' does not exist`);
    }
    const found = [...place.images.values()].filter(
      image =>
        (ids.length === 0 || ids.includes(image.id)) &&
        filtersHold(form, (name, values) =>
          name.startsWith('tag:')
            ? tagMatches(image.tags, name, values)
            : name === 'block-device-mapping.snapshot-id' && values.includes(image.snapshotId),
        ),
    );
    const { items, next } = page(world, form, found, 'imageIdsSet');
    return (
      set(
        'imagesSet',
        items.map(image => describeImage(place, image)),
      ) + text('nextToken', next)
    );
  },
  RegisterImage: registerImage,
  DeregisterImage: (world, place, form) => {
    const id = form.get('ImageId') ?? '';
    if (!place.images.delete(id)) {
      const code = world.wasImage(id) ? 'InvalidAMIID.Unavailable' : 'InvalidAMIID.NotFound';
      throw new ServiceFault(400, code, `The image ID '${id}' is no longer available`);
    }
    return text('return', 'true');
  },
  CreateTags: (_, place, form) => {
    for (const tags of tagged(place, form)) {
      for (const [key, value] of tagsOf(form, 'Tag')) tags.set(key, value);
    }
    return text('return', 'true');
  },
  DeleteTags: (_, place, form) => {
    for (const tags of tagged(place, form)) for (const [key] of tagsOf(form, 'Tag')) tags.delete(key);
    return text('return', 'true');
  },
  ModifyImageAttribute: (_, place, form) => {
    const image = requireImage(place, form.get('ImageId') ?? '');
    const users = [...form]
      .filter(([key]) => /^LaunchPermission\.Add\.\d+\./.test(key))
      .map(([, value]) => value);
    if (users.length === 0)
      throw new ServiceFault(400, 'InvalidParameterCombination', 'No attributes specified.');
    const key = place.snapshots.get(image.snapshotId)?.keyArn;
    if (key !== undefined && place.findKey(key)?.manager === 'AWS') {
      const message =
        "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot.";
      throw new ServiceFault(400, 'InvalidParameter', message);
    }
    for (const user of users) image.launchPermissions.add(user);
    return text('return', 'true');
  },
  DescribeImageAttribute: (_, place, form) => {
    const image = requireImage(place, form.get('ImageId') ?? '');
    const users = [...image.launchPermissions].map(user => text(permissionKind(user), user));
    return text('imageId', image.id) + set('launchPermission', users);
  },
  EnableImageDeprecation: (_, place, form) => {
    requireImage(place, form.get('ImageId') ?? '').deprecateAt = form.get('DeprecateAt') ?? undefined;
    return text('return', 'true');
  },
  DescribeRegions: (world, place) =>
    set(
      'regionInfo',
      world.enabledRegions(place.account).map(region => text('regionName', region)),
    ),
  GetEbsDefaultKmsKeyId: () => text('kmsKeyId', 'alias/aws/ebs'),
};

/** Answers a request, or throws what the service says against it. */
export function answerEc2(world: World, place: Place, form: Form): Xml {
  const action = form.get('Action') ?? '';
  // Who asks for the machines of images gets those of the users; unpackers are asked for in other ways.
  if (action === 'DescribeInstances' && ![...form.values()].includes('image-id')) {
    return describeFleetInstances(world, place, form);
  }
  const ofUsers = USER_OPERATIONS[action];
  if (ofUsers !== undefined) return ofUsers(place, form);
  const operation = OPERATIONS[action] ?? FLEET_OPERATIONS[action];
  if (operation === undefined) {
    throw new ServiceFault(400, 'InvalidAction', `The action ${action} is not valid for this web service.`);
  }
  return operation(world, place, form);
}

function registerImage(world: World, place: Place, form: Form): Xml {
  const name = form.get('Name') ?? '';
  if (!/^[A-Za-z0-9()[\] ./\-'@_]{3,128}$/.test(name)) {
    throw new ServiceFault(400, 'InvalidAMIName.Malformed', `AMI name ${name} is malformed`);
  }
  const taken = [...place.images.values()].find(image => image.name === name);
  if (taken !== undefined) {
    const message = `AMI name ${name} is already in use by AMI ${taken.id}`;
    throw new ServiceFault(400, 'InvalidAMIName.Duplicate', message);
  }
  const snapshotId = form.get('BlockDeviceMapping.1.Ebs.SnapshotId');
  if (snapshotId === null || form.get('BlockDeviceMapping.1.DeviceName') !== form.get('RootDeviceName')) {
    const message = 'No root snapshot specified in device mapping.';
    throw new ServiceFault(400, 'InvalidBlockDeviceMapping', message);
  }
  const snapshot = place.snapshots.get(snapshotId);
  if (snapshot === undefined) {
    const message = `The snapshot ID '${snapshotId}' does not exist`;
    throw new ServiceFault(400, 'InvalidSnapshotID.NotFound', message);
  }
  if (form.has('BlockDeviceMapping.1.Ebs.Encrypted')) {
    throw new ServiceFault(400, 'InvalidParameter', 'Parameter encrypted is invalid.');
  }
  if (world.stateOf(snapshot) !== 'completed') {
    throw new ServiceFault(400, 'InvalidSnapshot.Incomplete', 'Snapshot is in invalid state - pending');
  }
  const image: Image = {
    id: world.newImage(),
    name,
    createdAt: world.clock.now(),
    tags: tagsOf(form, 'TagSpecification.1.Tag'),
    request: Object.fromEntries(form),
    snapshotId,
    launchPermissions: new Set(),
    deprecateAt: undefined,
  };
  place.images.set(image.id, image);
  return text('imageId', image.id);
}

function tagged(place: Place, form: Form): Map<string, string>[] {
  const ids = listOf(form, 'ResourceId');
  if (ids.length === 0) throw missing('resourceIdSet');
  return ids.map(id => {
    const { volumes, instances } = fleetOf(place);
    const found = place.images.get(id) ?? place.snapshots.get(id) ?? volumes.get(id) ?? instances.get(id);
    if (found !== undefined) return found.tags;
    throw id.startsWith('ami-')
      ? new ServiceFault(400, 'InvalidAMIID.NotFound', `The image id '[${id}]' does not exist`)
      : noSnapshot(id);
  });
}

function permissionKind(user: string): string {
  if (user === 'all') return 'group';
  if (/:ou\//.test(user)) return 'organizationalUnitArn';
  return user.startsWith('arn:') ? 'organizationArn' : 'userId';
}

function requireImage(place: Place, id: string): Image {
  const image = place.images.get(id);
  if (image !== undefined) return image;
  throw new ServiceFault(400, 'InvalidAMIID.NotFound', `The image id '[${id}]' does not exist`);
}

function noSnapshot(id: string): ServiceFault {
  return new ServiceFault(400, 'InvalidSnapshot.NotFound', `The snapshot '${id}' does not exist.`);
}

export function tagSet(tags: ReadonlyMap<string, string>): Xml {
  return set(
    'tagSet',
    [...tags].map(([key, value]) => text('key', key) + text('value', value)),
  );
}

function describeSnapshot(world: World, place: Place, snapshot: Snapshot): Xml {
  const state = world.stateOf(snapshot);
  const completedAt = (snapshot.sealedAt ?? 0) + world.timing.complete * 1000;
  return [
    text('snapshotId', snapshot.id),
    text('volumeId', 'vol-ffffffff'),
    text('status', state),
    text('statusMessage', state === 'error' ? snapshot.fault : undefined),
    text('startTime', new Date(snapshot.startedAt).toISOString()),
    state === 'completed' ? text('completionTime', new Date(completedAt).toISOString()) : '',
    text('progress', state === 'completed' ? '100%' : snapshot.sealedAt === undefined ? '0%' : '99%'),
    text('ownerId', place.account),
    text('volumeSize', String(snapshot.size)),
    text('description', snapshot.description),
    text('encrypted', String(snapshot.encrypted)),
    text('kmsKeyId', snapshot.keyArn),
    tagSet(snapshot.tags),
  ].join('');
}

/** A mapping of another device than the root: of a snapshot, or of a disk of the machine itself. */
function otherMapping(snapshotId: string | undefined, at: number): Xml {
  const device = text('deviceName', `/dev/sd${String.fromCharCode('b'.charCodeAt(0) + at)}`);
  const virtual = text('virtualName', `ephemeral${String(at)}`);
  return device + (snapshotId === undefined ? virtual : element('ebs', text('snapshotId', snapshotId)));
}

function describeImage(
  place: Place,
  { id, name, createdAt, tags, request, snapshotId, deprecateAt, more }: Image,
): Xml {
  const ebs = 'BlockDeviceMapping.1.Ebs';
  const mapping =
    text('deviceName', request['RootDeviceName']) +
    element(
      'ebs',
      text('snapshotId', snapshotId) +
        text('volumeSize', request[`${ebs}.VolumeSize`]) +
        text('volumeType', request[`${ebs}.VolumeType`] ?? 'gp2') +
        text('iops', request[`${ebs}.Iops`]) +
        text('throughput', request[`${ebs}.Throughput`]) +
        text('deleteOnTermination', 'true'),
    );
  return [
    text('imageId', id),
    text('imageLocation', `${place.account}/${name}`),
    text('imageState', 'available'),
    text('imageOwnerId', place.account),
    text('isPublic', 'false'),
    text('architecture', request['Architecture']),
    text('imageType', 'machine'),
    text('name', name),
    text('description', request['Description']),
    text('rootDeviceType', 'ebs'),
    text('rootDeviceName', request['RootDeviceName']),
    text('bootMode', request['BootMode']),
    text('imdsSupport', request['ImdsSupport']),
    text('tpmSupport', request['TpmSupport']),
    text('enaSupport', request['EnaSupport']),
    text('virtualizationType', request['VirtualizationType']),
    text('creationDate', new Date(createdAt).toISOString().replace(/\.\d+Z$/, '.000Z')),
    text('deprecationTime', deprecateAt),
    set('blockDeviceMapping', [...(more ?? []).map(otherMapping), mapping]),
    tagSet(tags),
  ].join('');
}
