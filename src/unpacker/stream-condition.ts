import type { StreamState } from '../rpc/unpacker.js';
import { rootSuperblock } from '../volume/disk/root-superblock.js';
import type { StateDirectory } from '../volume/state-directory.js';
import type { VolumeCondition } from '../volume/volume-condition.js';
import { volumeCondition } from '../volume/volume-condition.js';

/** What a volume that nobody works on is in. */
export interface StreamCondition {
  state: Exclude<StreamState, 'absent' | 'busy'>;
  image: string | null;
  digest: string | null;
  /** The directory of what is known of it, when it is clean. */
  record: string | null;
}

/**
 * Looks at volumes. Nothing changes what is known of a volume but the agent's own work, so that as long as its
 * superblock is as it was, so is its condition.
 */
export class ConditionReader {
  readonly #state: StateDirectory;
  readonly #seen = new Map<string, { fingerprint: string | undefined; condition: StreamCondition }>();

  constructor(state: StateDirectory) {
    this.#state = state;
  }

  /** The condition of the volume of a stream, whose device or file is at `path`. */
  async read(stream: string, path: string): Promise<StreamCondition> {
    const superblock = await rootSuperblock(path);
    const seen = this.#seen.get(stream);
    if (seen !== undefined && seen.fingerprint === superblock?.fingerprint) return seen.condition;
    const condition = describe(await volumeCondition(this.#state, superblock));
    this.#seen.set(stream, { fingerprint: superblock?.fingerprint, condition });
    return condition;
  }

  /** Work on the volume of a stream has changed what is known. */
  forget(stream: string): void {
    this.#seen.delete(stream);
  }
}

function describe(condition: VolumeCondition): StreamCondition {
  if (condition.kind === 'clean') {
    const { image, record } = condition;
    return { state: 'clean', image: image.name, digest: image.digest, record };
  }
  const state = condition.kind === 'none' ? 'empty' : 'doubtful';
  return { state, image: null, digest: null, record: null };
}
