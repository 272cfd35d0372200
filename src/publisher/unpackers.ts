import type {
  AddVolumesOptions,
  FleetOptions,
  InstanceRow,
  RemoveVolumesOptions,
  StartInstancesOptions,
  StopIdleOptions,
  StoppedRow,
  TaggedRow,
  TagUnpackersOptions,
  UnpackersRow,
  VolumesRow,
} from './fleet/options.js';
import type { TargetRow } from './row.js';

/*
 * Work with the unpackers of targets, as programs call it; each is loaded when it is called. A target that fails has a
 * row with `Error`, and the others go on. All throw `CANCELLED`.
 */

/** Lists all unpackers, and what those that run are at. It starts none. */
export async function listUnpackers(options: FleetOptions): Promise<(UnpackersRow | TargetRow)[]> {
  return (await import('./fleet/list-unpackers.js')).listUnpackers(options);
}

/** Starts an unpacker of each target and waits until it runs, and with `agents` until its agent answers. */
export async function startUnpackers(options: StartInstancesOptions): Promise<(InstanceRow | TargetRow)[]> {
  return (await import('./fleet/start-instances.js')).startUnpackers(options);
}

/** Stops the unpackers of which nothing was asked for `maxIdle` seconds. */
export async function stopIdleUnpackers(options: StopIdleOptions): Promise<(StoppedRow | TargetRow)[]> {
  return (await import('./fleet/stop-idle-unpackers.js')).stopIdleUnpackers(options);
}

/** Sets tags of all unpackers, or removes some. Throws `USAGE` for none, and for `Name`. */
export async function tagUnpackers(options: TagUnpackersOptions): Promise<(TaggedRow | TargetRow)[]> {
  return (await import('./fleet/tag-unpackers.js')).tagUnpackers(options);
}

/** Makes and attaches a volume of `size` GiB of no stream in each target. */
export async function addVolumes(options: AddVolumesOptions): Promise<(VolumesRow | TargetRow)[]> {
  return (await import('./fleet/volumes.js')).addVolumes(options);
}

/** Removes the volumes of ours that no stream uses. */
export async function removeUnusedVolumes(
  options: RemoveVolumesOptions,
): Promise<(VolumesRow | TargetRow)[]> {
  return (await import('./fleet/volumes.js')).removeUnusedVolumes(options);
}
