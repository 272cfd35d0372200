import { ImageUnpackerError } from '../image/error.js';
import type { BlockDevice } from './device.js';
import type { StateDirectory } from './state-directory.js';
import { readSuperblock } from './superblock.js';
import { volumeCondition } from './volume-condition.js';
import type { ImageReference, VolumeState } from './volume-record.js';

/** What is known of a volume that is clean. */
export interface CleanVolume {
  image: ImageReference;
  /** Of a disk, what was put beside its root partition. */
  disk: VolumeState['disk'];
}

/**
 * The image that the volume is exactly whose file system is on `device`, according to what is known of it. Throws `VOLUME_UNKNOWN` when nothing
 * is known, and `VOLUME_DOUBTFUL` when work on it was interrupted or somebody has written to it since.
 */
export async function requireClean(state: StateDirectory, device: BlockDevice): Promise<CleanVolume> {
  const { path } = device;
  const condition = await volumeCondition(state, await readSuperblock(device.file));
  const remedy = 'run apply to make it exact again';
  switch (condition.kind) {
    case 'clean':
      return condition;
    case 'none':
      throw refused('VOLUME_UNKNOWN', path, `${path} holds no file system of ours`);
    case 'unknown':
      throw refused('VOLUME_UNKNOWN', path, `Nothing is known of the volume on ${path}; ${remedy}`);
    case 'doubtful':
      throw refused(
        'VOLUME_DOUBTFUL',
        path,
        `The volume on ${path} is doubtful: ${condition.why}; ${remedy}`,
      );
  }
}

function refused(code: ImageUnpackerError['code'], device: string, message: string): ImageUnpackerError {
  return new ImageUnpackerError(code, message, { device });
}
