import { createHash } from 'node:crypto';
import type { Snapshot } from '@aws-sdk/client-ec2';
import { digestsOfBlocks } from '../../image/disk-map.js';
import type { DiskMap } from '../../image/disk-map.js';
import { ImageUnpackerError } from '../../image/error.js';
import { findSnapshot } from './find.js';
import type { AwsSession } from './session.js';
import { waitFor } from './wait.js';

/** EBS took 1 to 4 s; what is wrong with a checksum it tells after 20 s, with the count after minutes. */
const DEADLINE_SECONDS = 900;

/** The checksum of all blocks that were sent, by number, ascending: SHA-256 over their digests (EBS direct, LINEAR). */
export function linearChecksum(map: DiskMap, numbers: readonly number[]): string {
  const hash = createHash('sha256');
  for (const digest of digestsOfBlocks(map, numbers)) hash.update(digest);
  return hash.digest('base64');
}

/**
 * Says that all blocks of a snapshot are there, and waits until EBS finds so. Throws `CLOUD_FAILED` when it does not,
 * `TIMEOUT`.
 */
export async function completeSnapshot(
  session: AwsSession,
  snapshotId: string,
  { map, numbers }: { map: DiskMap; numbers: readonly number[] },
  { target, signal }: { target: string; signal?: AbortSignal | undefined },
): Promise<Snapshot> {
  const input = {
    SnapshotId: snapshotId,
    ChangedBlocksCount: numbers.length,
    Checksum: linearChecksum(map, numbers),
    ChecksumAlgorithm: 'SHA256' as const,
    ChecksumAggregationMethod: 'LINEAR' as const,
  };
  await session.call('CompleteSnapshot', input, { signal });
  return waitForSnapshot(session, snapshotId, { target, signal });
}

/** Waits until a snapshot is complete. Throws `CLOUD_FAILED` when it cannot be any more, `TIMEOUT`. */
export async function waitForSnapshot(
  session: AwsSession,
  snapshotId: string,
  { target, signal }: { target: string; signal?: AbortSignal | undefined },
): Promise<Snapshot> {
  const what = `the snapshot ${snapshotId} to be complete`;
  return waitFor(session, { what, deadlineSeconds: DEADLINE_SECONDS, target, signal }, async () => {
    const snapshot = await findSnapshot(session, snapshotId, { signal });
    if (snapshot?.State === 'completed') return snapshot;
    if (snapshot?.State === 'error') throw failed(snapshotId, target, snapshot.StateMessage);
    return undefined;
  });
}

function failed(snapshotId: string, target: string, why = 'it is not said why'): ImageUnpackerError {
  const message = `EBS refused the snapshot ${snapshotId} in ${target}: ${why}; publish again, which begins it anew`;
  return new ImageUnpackerError('CLOUD_FAILED', message, { target });
}
