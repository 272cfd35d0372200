import { isOurs } from './identity.js';
import type { StateDirectory } from './state-directory.js';
import type { Superblock } from './superblock.js';
import type { ImageReference, VolumeState } from './volume-record.js';
import { readRecord } from './volume-record.js';

/** What is known of what is on a device. */
export type VolumeCondition =
  /** There is no file system of ours. */
  | { kind: 'none' }
  /** There is one, of which nothing is known. */
  | { kind: 'unknown' }
  /** It is not known to be exactly an image. */
  | { kind: 'doubtful'; why: string }
  /**
   * It is exactly that image; `record` is the directory of what is known of it, `disk` what was put beside its root
   * partition.
   */
  | { kind: 'clean'; image: ImageReference; record: string; disk: VolumeState['disk'] };

/** The condition of the volume with that superblock, if there is one. */
export async function volumeCondition(
  state: StateDirectory,
  superblock: Superblock | undefined,
): Promise<VolumeCondition> {
  if (superblock === undefined || !isOurs(superblock.hashSeed)) return { kind: 'none' };
  const records = await Promise.all((await state.recordsOf(superblock.key)).map(readRecord));
  const certain = records.find(record => record.state?.fingerprint === superblock.fingerprint);
  if (certain?.state !== undefined && certain.journal === undefined && superblock.clean) {
    const { image, disk } = certain.state;
    return { kind: 'clean', image, record: certain.directory, disk };
  }
  if (records.every(record => record.state === undefined && record.journal === undefined)) {
    return { kind: 'unknown' };
  }
  const interrupted = records.some(({ journal }) => journal !== undefined);
  const foreign = 'it was written to by somebody else since it was last known';
  return { kind: 'doubtful', why: interrupted ? 'work on it was interrupted' : foreign };
}
