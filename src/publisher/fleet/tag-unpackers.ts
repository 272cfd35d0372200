import { ImageUnpackerError } from '../../image/error.js';
import { noUnpacker } from '../../cloud/aws/fleet/choose-unpacker.js';
import type { TargetRow } from '../row.js';
import type { TaggedRow, TagUnpackersOptions } from './options.js';
import type { FleetAccess } from './unpackers.js';
import { forEachFleet } from './unpackers.js';

/**
 * Sets tags of all unpackers, or removes some. Throws `USAGE` when there are none, or `Name` is among them, by which
 * unpackers are found.
 */
export async function tagUnpackers(
  options: TagUnpackersOptions & FleetAccess,
): Promise<(TaggedRow | TargetRow)[]> {
  const { set = {}, remove = [], dryRun = false } = options;
  const keys = [...Object.keys(set), ...remove];
  if (keys.length === 0) throw new ImageUnpackerError('USAGE', 'No tags are given');
  for (const key of keys) {
    if (key !== 'Name' && key !== '' && !key.toLowerCase().startsWith('aws:')) continue;
    const why = key === 'Name' ? 'unpackers are found by it' : 'it cannot be changed';
    throw new ImageUnpackerError('USAGE', `The tag "${key}" is not for this command: ${why}`);
  }
  const { tagInstances } = await import('../../cloud/aws/fleet/instances.js');
  return forEachFleet(options, async (row, { place, instances, signal }) => {
    if (instances.length === 0) throw noUnpacker(place);
    if (!dryRun) await tagInstances(place, instances, { set, remove }, { signal });
    return { ...row, InstanceIds: instances.map(({ id }) => id) };
  });
}
