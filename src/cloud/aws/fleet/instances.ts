import type { Instance } from '@aws-sdk/client-ec2';
import { ImageUnpackerError } from '../../../image/error.js';
import type { Tags } from '../../cloud.js';
import type { CallOptions, AwsSession } from '../session.js';
import { fromTagList, toTagList } from '../tags.js';
import { waitFor } from '../wait.js';

/** What an unpacker's instance is called (tag `Name`) unless it is told otherwise, as in the reference system. */
export const UNPACKER_NAME = 'ImageUnpacker';

const STATES = ['pending', 'running', 'stopping', 'stopped'] as const;
const PAGE = 1000;
/** A list that never ends is a defect of the other end. */
const MOST_PAGES = 1000;
/** Stopping takes long where a system does not shut down: EC2 forces it after some minutes. */
const STOP_SECONDS = 600;
const START_SECONDS = 600;

export type InstanceState = (typeof STATES)[number];

/** The instance of an unpacker. */
export interface FleetInstance {
  readonly id: string;
  readonly state: InstanceState;
  /** Undefined for as long as it has none. */
  readonly address: string | undefined;
  readonly zone: string;
  readonly launchedAt: number;
  readonly tags: Tags;
}

/** Where, and which instances are meant. */
export interface FleetPlace {
  readonly session: AwsSession;
  /** What it is called: `production/us-east-1`. */
  readonly target: string;
  /** What the instances are called. */
  readonly name: string;
}

/** All unpackers that are there or come up again when they are started, in the order of their ids. */
export async function findInstances(
  { session, name }: FleetPlace,
  options: CallOptions,
): Promise<FleetInstance[]> {
  const Filters = [
    // A filter takes * and ? for any characters.
    { Name: 'tag:Name', Values: [name.replace(/[*?\\]/g, '\\$&')] },
    { Name: 'instance-state-name', Values: [...STATES] },
  ];
  const found: FleetInstance[] = [];
  let token: string | undefined;
  for (let page = 0; page < MOST_PAGES; page++) {
    const input = { Filters, MaxResults: PAGE, NextToken: token };
    const answer = await session.call('DescribeInstances', input, options);
    const instances = (answer.Reservations ?? []).flatMap(({ Instances = [] }) => Instances);
    found.push(...instances.map(fleetInstance).filter(instance => instance !== undefined));
    token = answer.NextToken;
    if (token === undefined || token === '') break;
  }
  return found.sort((a, b) => (a.id < b.id ? -1 : 1));
}

function fleetInstance(instance: Instance): FleetInstance | undefined {
  const { InstanceId, State, PrivateIpAddress, Placement, LaunchTime, Tags } = instance;
  const state = STATES.find(each => each === State?.Name);
  if (InstanceId === undefined || state === undefined) return undefined;
  return {
    id: InstanceId,
    state,
    address: PrivateIpAddress,
    zone: Placement?.AvailabilityZone ?? '',
    launchedAt: LaunchTime?.getTime() ?? 0,
    tags: fromTagList(Tags),
  };
}

/**
 * Sees to it that unpackers run: one that is stopping is waited for, one that is stopped is started, and all of them
 * are waited for by one request at a time. Throws `TIMEOUT`, `CLOUD_FAILED` when one has gone meanwhile,
 * `QUOTA_EXCEEDED` when AWS has no room for it.
 */
export async function startInstances(
  place: FleetPlace,
  instances: readonly FleetInstance[],
  options: CallOptions,
): Promise<FleetInstance[]> {
  const { session, target } = place;
  const wanted = new Set(instances.map(({ id }) => id));
  const started = new Set<string>();
  if (instances.every(isReady)) return [...instances];
  const what = `${[...wanted].join(' and ')} to run`;
  const deadlineSeconds = STOP_SECONDS + START_SECONDS;
  return waitFor(session, { what, deadlineSeconds, target, signal: options.signal }, async () => {
    const current = (await findInstances(place, options)).filter(({ id }) => wanted.has(id));
    if (current.length < wanted.size) {
      const gone = [...wanted].filter(id => !current.some(each => each.id === id));
      const message = `${gone.join(' and ')} in ${target} was terminated, or is not called ${place.name} any more`;
      throw new ImageUnpackerError('CLOUD_FAILED', message, { target });
    }
    const stopped = current.filter(({ id, state }) => state === 'stopped' && !started.has(id));
    if (stopped.length > 0) {
      const InstanceIds = stopped.map(({ id }) => id);
      await session.call('StartInstances', { InstanceIds }, options);
      for (const id of InstanceIds) started.add(id);
    }
    // What was started and is stopped again did not come up, or another one has stopped it.
    for (const { id, state } of current) if (state === 'stopping') started.delete(id);
    return current.every(isReady) ? current : undefined;
  });
}

function isReady({ state, address }: FleetInstance): boolean {
  return state === 'running' && address !== undefined;
}

/** Stops unpackers; it is not waited until they have stopped. */
export async function stopInstances(
  { session }: FleetPlace,
  instances: readonly FleetInstance[],
  options: CallOptions,
): Promise<void> {
  // An empty list would be refused.
  if (instances.length === 0) return;
  await session.call('StopInstances', { InstanceIds: instances.map(({ id }) => id) }, options);
}

/** Sets tags of unpackers, and removes others. */
export async function tagInstances(
  { session }: FleetPlace,
  instances: readonly FleetInstance[],
  { set = {}, remove = [] }: { set?: Tags; remove?: readonly string[] },
  options: CallOptions,
): Promise<void> {
  const Resources = instances.map(({ id }) => id);
  if (Resources.length === 0) return;
  if (Object.keys(set).length > 0) {
    await session.call('CreateTags', { Resources, Tags: toTagList(set) }, options);
  }
  // Without any tag all of them would be removed.
  if (remove.length > 0) {
    await session.call('DeleteTags', { Resources, Tags: remove.map(Key => ({ Key })) }, options);
  }
}
