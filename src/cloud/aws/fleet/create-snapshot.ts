import type { Snapshot } from '@aws-sdk/client-ec2';
import { ImageUnpackerError } from '../../../image/error.js';
import type { Tags } from '../../cloud.js';
import { AwsError } from '../fault.js';
import { findSnapshots } from '../find.js';
import type { AwsSession } from '../session.js';
import { PUBLISH_TOKEN, toTagList } from '../tags.js';

/** After a lost answer, how long it is looked for what the call may have made: lists come a little late. */
const LOOKS = 4;
const LOOK_MILLISECONDS = 3000;
const MOST_TRIES = 5;

/** A snapshot of a volume that is to be made. */
export interface VolumeSnapshot {
  readonly volumeId: string;
  readonly token: string;
  readonly tags: Tags;
  readonly description: string;
  readonly target: string;
  readonly signal: AbortSignal | undefined;
}

/**
 * Begins a snapshot of what a volume holds now. CreateSnapshot takes no client token: where an answer was lost, the
 * snapshot is looked for by its tag before another one is begun.
 */
export async function createSnapshot(session: AwsSession, wanted: VolumeSnapshot): Promise<string> {
  const { volumeId, token, tags, description, target, signal } = wanted;
  const input = {
    VolumeId: volumeId,
    Description: description.slice(0, 255),
    TagSpecifications: [
      { ResourceType: 'snapshot' as const, Tags: toTagList({ ...tags, [PUBLISH_TOKEN]: token }) },
    ],
  };
  for (let attempt = 1; ; attempt++) {
    try {
      const { SnapshotId } = await session.call('CreateSnapshot', input, { signal, once: true });
      if (SnapshotId !== undefined) return SnapshotId;
    } catch (reason) {
      const isLost = reason instanceof AwsError && reason.fault.kind === 'transient';
      if (!isLost || attempt === MOST_TRIES) throw reason;
    }
    for (let look = 0; look < LOOKS; look++) {
      const [found] = await liveSnapshots(session, token, signal);
      if (found?.SnapshotId !== undefined) return found.SnapshotId;
      await session.clock.sleep(LOOK_MILLISECONDS, signal);
    }
    if (attempt === MOST_TRIES) {
      const message = `EC2 does not tell which snapshot it made of ${volumeId} in ${target}`;
      throw new ImageUnpackerError('CLOUD_FAILED', message, { target });
    }
  }
}

/** The snapshots that were begun under a token and have not failed, oldest first. */
export async function liveSnapshots(
  session: AwsSession,
  token: string,
  signal: AbortSignal | undefined,
): Promise<Snapshot[]> {
  const found = await findSnapshots(session, { [PUBLISH_TOKEN]: token }, { signal });
  return found
    .filter(({ State }) => State !== 'error')
    .sort((a, b) => (a.StartTime?.getTime() ?? 0) - (b.StartTime?.getTime() ?? 0));
}
