import type { FleetInstance } from '../../cloud/aws/fleet/instances.js';
import { throwIfAborted } from '../../image/error.js';
import type { UnpackerStatus } from '../../rpc/unpacker.js';
import type { TargetRow } from '../row.js';
import { errorColumns } from '../row.js';
import type { FleetOptions, UnpackerRow, UnpackersRow } from './options.js';
import type { FleetAccess, FleetWork } from './unpackers.js';
import { forEachFleet, withAgent } from './unpackers.js';

/** An agent that runs answers at once. */
const PATIENCE_SECONDS = 5;

/** Lists all unpackers, and what those that run are at. It starts none. */
export async function listUnpackers(
  options: FleetOptions & FleetAccess,
): Promise<(UnpackersRow | TargetRow)[]> {
  return forEachFleet(options, async (row, fleet) => ({
    ...row,
    Unpackers: await Promise.all(fleet.instances.map(instance => unpackerRow(instance, fleet))),
  }));
}

/** The row of an unpacker. */
export async function unpackerRow(instance: FleetInstance, fleet: FleetWork): Promise<UnpackerRow> {
  const { id, address, state, zone, tags } = instance;
  const row: UnpackerRow = {
    InstanceId: id,
    ...(address === undefined ? {} : { IpAddress: address }),
    State: state,
    AvailabilityZone: zone,
    Tags: { ...tags },
  };
  if (state !== 'running') return row;
  try {
    const status = await withAgent(fleet, instance, PATIENCE_SECONDS, agent =>
      agent.status({ signal: fleet.signal }),
    );
    return { ...row, ...statusColumns(status, fleet.place.session.clock.now()) };
  } catch (reason) {
    throwIfAborted(fleet.signal);
    return { ...row, ...errorColumns(reason, `The agent of ${id} does not answer`) };
  }
}

function statusColumns({ version, lastUsed, streams }: UnpackerStatus, now: number): Partial<UnpackerRow> {
  const busy = streams.filter(({ state }) => state === 'busy').map(({ stream }) => stream);
  const idle = busy.length > 0 ? 0 : lastUsed === null ? undefined : (now - Date.parse(lastUsed)) / 1000;
  return {
    ...(idle === undefined ? {} : { TimeSinceLastUsed: Math.max(0, Math.round(idle)) }),
    Streams: streams.map(({ stream }) => stream),
    Busy: busy,
    Version: version,
  };
}
