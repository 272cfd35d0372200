import { ImageUnpackerError } from '../../image/error.js';
import { noUnpacker } from '../../cloud/aws/fleet/choose-unpacker.js';
import type { TargetRow } from '../row.js';
import type { InstanceRow, StartInstancesOptions } from './options.js';
import type { FleetAccess } from './unpackers.js';
import { bootPatience, forEachFleet, withAgent } from './unpackers.js';

/**
 * Starts the unpacker of each target and waits until it runs, and with `agents` until its agent answers, so that a
 * publication that comes soon need not wait for it. With `agents` any unpacker that runs will do; else there must be
 * just one.
 */
export async function startUnpackers(
  options: StartInstancesOptions & FleetAccess,
): Promise<(InstanceRow | TargetRow)[]> {
  const { agents = false, dryRun = false } = options;
  const { startInstances } = await import('../../cloud/aws/fleet/instances.js');
  return forEachFleet(options, async (row, fleet): Promise<InstanceRow> => {
    const { place, instances, signal } = fleet;
    const [first, second] = instances;
    if (first === undefined) throw noUnpacker(place);
    if (!agents && second !== undefined) {
      const ids = instances.map(({ id }) => id).join(' and ');
      const message = `There are several instances called ${place.name} in ${place.target}: ${ids}; name one otherwise`;
      throw new ImageUnpackerError('CLOUD_FAILED', message, { target: place.target });
    }
    const chosen = instances.find(({ state }) => state === 'running') ?? first;
    const about = { ...row, InstanceId: chosen.id, AlreadyRunning: chosen.state === 'running' };
    if (dryRun) return about;
    const [running] = await startInstances(place, [chosen], { signal });
    const { address } = running!;
    if (agents) {
      const patience = bootPatience(running!, place.session.clock.now());
      await withAgent(fleet, running!, patience, agent => agent.status({ signal }));
    }
    return { ...about, ...(address === undefined ? {} : { PrivateIp: address }) };
  });
}
