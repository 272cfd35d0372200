import type { TargetRow } from '../row.js';
import { unpackerRow } from './list-unpackers.js';
import type { StopIdleOptions, StoppedRow } from './options.js';
import type { FleetAccess } from './unpackers.js';
import { forEachFleet } from './unpackers.js';

/**
 * Stops the unpackers that run and of which nothing was asked for so long. One whose agent does not answer runs on,
 * and its target has an error; one that was never used counts from when it was started.
 */
export async function stopIdleUnpackers(
  options: StopIdleOptions & FleetAccess,
): Promise<(StoppedRow | TargetRow)[]> {
  const { maxIdle, dryRun = false } = options;
  const { stopInstances } = await import('../../cloud/aws/fleet/instances.js');
  return forEachFleet(options, async (row, fleet): Promise<StoppedRow> => {
    const { place, signal } = fleet;
    const running = fleet.instances.filter(({ state }) => state === 'running');
    const found = await Promise.all(
      running.map(async instance => ({ instance, about: await unpackerRow(instance, fleet) })),
    );
    const now = place.session.clock.now();
    const idle = found.filter(({ instance, about }) => {
      const up = (now - instance.launchedAt) / 1000;
      // What was used before it was started says nothing of how long it has been idle since.
      const unused = Math.min(about.TimeSinceLastUsed ?? Infinity, up);
      return about.Error === undefined && unused >= maxIdle;
    });
    const stopping = idle.map(({ instance }) => instance);
    if (!dryRun) await stopInstances(place, stopping, { signal });
    const silent = found.find(({ about }) => about.Error !== undefined)?.about;
    return {
      ...row,
      Stopped: stopping.map(({ id }) => id),
      Running: running.filter(each => !stopping.includes(each)).map(({ id }) => id),
      ...(silent === undefined
        ? {}
        : {
            Error: `${silent.InstanceId} runs on: ${silent.Error!}`,
            ErrorCode: silent.ErrorCode ?? 'INTERNAL',
          }),
    };
  });
}
