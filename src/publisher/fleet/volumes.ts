import type { FleetVolume } from '../../cloud/aws/fleet/volumes.js';
import { noUnpacker } from '../../cloud/aws/fleet/choose-unpacker.js';
import { TAG } from '../../cloud/cloud.js';
import { ImageUnpackerError, throwIfAborted } from '../../image/error.js';
import type { TargetRow } from '../row.js';
import { errorColumns } from '../row.js';
import type { AddVolumesOptions, RemoveVolumesOptions, VolumesRow } from './options.js';
import type { FleetAccess, FleetWork } from './unpackers.js';
import { bootPatience, forEachFleet, withAgent } from './unpackers.js';

/** A device shows up on a machine a moment after it is attached. */
const DEVICE_SECONDS = 120;
/** How long a volume must have been there that no run has finished: its run may still be at work. */
const LONGEST_WORK_MILLISECONDS = 65 * 60 * 1000;

/**
 * Makes a volume of no stream for an unpacker of each target, attaches it, and waits until its agent sees it. It is one
 * to try things with: publishing makes what it needs itself. One that cannot be attached is removed again.
 */
export async function addVolumes(
  options: AddVolumesOptions & FleetAccess,
): Promise<(VolumesRow | TargetRow)[]> {
  const { size, dryRun = false } = options;
  const { createVolume, attachVolume, removeVolume, serialOf } =
    await import('../../cloud/aws/fleet/volumes.js');
  const { startInstances } = await import('../../cloud/aws/fleet/instances.js');
  const { findKey } = await import('../../cloud/aws/encryption.js');
  const { waitFor } = await import('../../cloud/aws/wait.js');
  return forEachFleet(options, async (row, fleet, target): Promise<VolumesRow> => {
    const { place, instances, signal } = fleet;
    const chosen = instances.find(({ state }) => state === 'running') ?? instances[0];
    if (chosen === undefined) throw noUnpacker(place);
    const about = { ...row, InstanceId: chosen.id, Size: size };
    if (dryRun) return { ...about, VolumeIds: [] };
    const [instance] = await startInstances(place, [chosen], { signal });
    const settings = { ...target.settings, sharedWith: undefined };
    const key = await findKey(place.session, settings, place.target, { signal });
    const token = `add-volumes ${place.target} ${String(place.session.clock.now())} ${String(place.session.clock.random())}`;
    const tags = {};
    const { id } = await createVolume(place, { zone: instance!.zone, size, key, tags, token }, { signal });
    try {
      await attachVolume(place, id, instance!, { signal });
      const patience = bootPatience(instance!, place.session.clock.now());
      await withAgent(fleet, instance!, patience, agent => {
        const what = `the volume ${id} to show up on ${instance!.id}`;
        const waiting = { what, deadlineSeconds: DEVICE_SECONDS, target: place.target, signal };
        return waitFor(place.session, waiting, async () => {
          const serial = serialOf({ id });
          const devices = await agent.devices({ signal });
          return devices.find(each => each.id === serial || each.id.endsWith(`_${serial}`));
        });
      });
    } catch (reason) {
      await removeVolume(place, id, {}).catch(() => undefined);
      throw reason;
    }
    return { ...about, VolumeIds: [id] };
  });
}

/**
 * Removes the volumes of ours that no stream uses: those that are attached to an unpacker whose agent has pinned no
 * stream to them, and those that are attached nowhere and belong to no stream. What a run may still be at work on
 * stays, and so does all that is attached to an unpacker that does not run or answer, which is an error.
 */
export async function removeUnusedVolumes(
  options: RemoveVolumesOptions & FleetAccess,
): Promise<(VolumesRow | TargetRow)[]> {
  const { dryRun = false } = options;
  const { findVolumes, removeVolume } = await import('../../cloud/aws/fleet/volumes.js');
  return forEachFleet(options, async (row, fleet): Promise<VolumesRow> => {
    const { place, signal } = fleet;
    const volumes = await findVolumes(place, {}, { signal });
    const { unused, error } = await findUnused(fleet, volumes);
    if (!dryRun) for (const { id } of unused) await removeVolume(place, id, { signal });
    return {
      ...row,
      VolumeIds: unused.map(({ id }) => id),
      Size: unused.reduce((sum, { size }) => sum + size, 0),
      ...error,
    };
  });
}

async function findUnused(
  fleet: FleetWork,
  volumes: readonly FleetVolume[],
): Promise<{ unused: FleetVolume[]; error: { Error?: string; ErrorCode?: string } }> {
  const { serialOf } = await import('../../cloud/aws/fleet/volumes.js');
  const now = fleet.place.session.clock.now();
  const settled = volumes.filter(
    ({ tags, createdAt }) => tags[TAG.run] === undefined || now - createdAt >= LONGEST_WORK_MILLISECONDS,
  );
  const unused = settled.filter(
    ({ attachment, tags }) => attachment === undefined && tags[TAG.stream] === undefined,
  );
  let error = {};
  for (const instance of fleet.instances) {
    const attached = settled.filter(({ attachment }) => attachment?.instanceId === instance.id);
    if (attached.length === 0) continue;
    try {
      if (instance.state !== 'running') {
        throw new ImageUnpackerError('CLOUD_FAILED', `The unpacker ${instance.id} does not run`);
      }
      const devices = await withAgent(fleet, instance, 5, agent => agent.devices({ signal: fleet.signal }));
      for (const volume of attached) {
        const device = devices.find(
          ({ id }) => id === serialOf(volume) || id.endsWith(`_${serialOf(volume)}`),
        );
        // What its agent does not see it may be about to.
        if (device?.stream === null) unused.push(volume);
      }
    } catch (reason) {
      throwIfAborted(fleet.signal);
      const doing = `Whether the volumes of ${instance.id} are used is not known`;
      const columns = errorColumns(reason, doing);
      error = { ...columns, Error: `${doing}: ${columns.Error}` };
    }
  }
  return { unused, error };
}
