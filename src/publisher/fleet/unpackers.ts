import type { FleetInstance, FleetPlace } from '../../cloud/aws/fleet/instances.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { Unpacker } from '../../rpc/unpacker.js';
import type { AwsTarget, Target } from '../target.js';
import type { TargetRow } from '../row.js';
import type { ConnectAgent } from './connect-agent.js';
import type { FleetOptions } from './options.js';
import { connectByAddress } from './connect-agent.js';
import { errorColumns, rowOf } from '../row.js';

/** How long it may take until an agent answers whose machine was started just now. */
const BOOT_SECONDS = 600;

/** How accounts are reached; for tests. */
export interface FleetAccess {
  readonly openFleet?: OpenFleet | undefined;
}

/** Enters the account and region of a target. */
export type OpenFleet = (
  target: AwsTarget,
  name: string | undefined,
  signal: AbortSignal | undefined,
) => Promise<FleetPlace>;

/** What enters accounts, each of them once. */
export async function makeOpenFleet(): Promise<OpenFleet> {
  const { AwsAccounts } = await import('../../cloud/aws/accounts.js');
  const { UNPACKER_NAME } = await import('../../cloud/aws/fleet/instances.js');
  const accounts = new AwsAccounts();
  return async (target, name = UNPACKER_NAME, signal) => {
    const session = await accounts.session(target.access, target.region, signal);
    return { session, target: target.name, name };
  };
}

/** One target as its command has it. */
export interface FleetWork {
  readonly place: FleetPlace;
  readonly instances: readonly FleetInstance[];
  readonly connect: ConnectAgent;
  readonly signal: AbortSignal | undefined;
}

/**
 * Does `work` with the unpackers of each target, all targets at once. A target that fails has a row with `Error`, and
 * the others go on. Throws `CANCELLED`.
 */
export async function forEachFleet<R extends TargetRow>(
  options: FleetOptions & FleetAccess,
  work: (row: TargetRow, fleet: FleetWork, target: AwsTarget) => Promise<R>,
): Promise<(R | TargetRow)[]> {
  const { targets, unpackerName, certs, serverName, signal } = options;
  const { connect = connectByAddress(certs, serverName) } = options;
  const openFleet = options.openFleet ?? (await makeOpenFleet());
  const { findInstances } = await import('../../cloud/aws/fleet/instances.js');
  return Promise.all(
    targets.map(async target => {
      const row = rowOf(target);
      try {
        if (target.kind !== 'aws') throw noUnpackersThere(target);
        const place = await openFleet(target, unpackerName, signal);
        const instances = await findInstances(place, { signal });
        return await work(row, { place, instances, connect, signal }, target);
      } catch (reason) {
        if (signal?.aborted === true) throw reason;
        return { ...row, ...errorColumns(reason, `Working with the unpackers of ${target.name} failed`) };
      }
    }),
  );
}

function noUnpackersThere({ name }: Target): ImageUnpackerError {
  const message = `${name} is a directory, which has no unpackers; leave it out with --skip`;
  return new ImageUnpackerError('USAGE', message, { target: name });
}

/** Does `work` with the agent of an instance. `patience` is how long it may take until it answers. */
export async function withAgent<T>(
  { connect, signal }: Pick<FleetWork, 'connect' | 'signal'>,
  { id, address }: FleetInstance,
  patience: number,
  work: (agent: Unpacker) => Promise<T>,
): Promise<T> {
  if (address === undefined) {
    throw new ImageUnpackerError('CLOUD_FAILED', `The instance ${id} has no private address yet; try again`);
  }
  const agent = await connect(address, { patience, signal });
  try {
    return await work(agent);
  } finally {
    await agent.close();
  }
}

/** How long an agent is waited for whose machine was started at a time (milliseconds since 1970). */
export function bootPatience({ launchedAt }: FleetInstance, now: number): number {
  const LEAST_SECONDS = 60;
  return Math.max(LEAST_SECONDS, BOOT_SECONDS - (now - launchedAt) / 1000);
}
