import type { TargetRow } from '../row.js';
import { unpackerRow } from './list-unpackers.js';
import type { FleetOptions } from './unpackers.js';
import { forEachFleet } from './unpackers.js';

/** What was stopped in a target. */
export interface StoppedRow extends TargetRow {
  /** Instances that were stopped, or would be. */
  Stopped: string[];
  /** Those that run on: they are or were just used. */
  Running: string[];
}

/** Which unpackers are stopped. */
export interface StopIdleOptions extends FleetOptions {
  /** Seconds that one may have done nothing. */
  readonly maxIdle: number;
  readonly dryRun?: boolean | undefined;
}

/**
 * Stops the unpackers that run and of which nothing was asked for so long. One whose agent does not answer runs on,
 * and its target has an error; one that was never used counts from when it was started.
 */
export async function stopIdleUnpackers(options: StopIdleOptions): Promise<(StoppedRow | TargetRow)[]> {
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
