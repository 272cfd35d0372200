import { ImageUnpackerError } from '../image/error.js';
import type { BlockDevice } from './device.js';
import { isOurs } from './identity.js';
import type { StateDirectory } from './state-directory.js';
import { readSuperblock } from './superblock.js';
import type { ImageReference } from './volume-record.js';
import { readRecord } from './volume-record.js';

/**
 * The image that a volume is exactly, according to what is known of it. Throws `VOLUME_UNKNOWN` when nothing
 * is known, and `VOLUME_DOUBTFUL` when work on it was interrupted or somebody has written to it since.
 */
export async function requireClean(state: StateDirectory, device: BlockDevice): Promise<ImageReference> {
  const { path } = device;
  const superblock = await readSuperblock(device.file);
  if (superblock === undefined || !isOurs(superblock.hashSeed)) {
    throw new ImageUnpackerError('VOLUME_UNKNOWN', `${path} holds no file system of ours`, { device: path });
  }
  const records = await Promise.all((await state.recordsOf(superblock.uuid)).map(readRecord));
  const certain = records.find(record => record.state?.fingerprint === superblock.fingerprint);
  if (certain?.state !== undefined && certain.journal === undefined && superblock.clean)
    return certain.state.image;
  const remedy = 'run apply to make it exact again';
  if (records.every(record => record.state === undefined && record.journal === undefined)) {
    throw new ImageUnpackerError('VOLUME_UNKNOWN', `Nothing is known of the volume on ${path}; ${remedy}`, {
      device: path,
    });
  }
  const why = records.some(({ journal }) => journal !== undefined)
    ? 'work on it was interrupted'
    : 'it was written to by somebody else since it was last known';
  throw new ImageUnpackerError('VOLUME_DOUBTFUL', `The volume on ${path} is doubtful: ${why}; ${remedy}`, {
    device: path,
  });
}
