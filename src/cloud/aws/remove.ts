import type { UnfinishedDisk } from '../cloud.js';
import { isAnswer, isMissing } from './fault.js';
import { findSnapshots } from './find.js';
import type { AwsSession, CallOptions } from './session.js';
import { fromTagList, visibleTags } from './tags.js';

const TRIES = 6;
const PAUSE_MILLISECONDS = 2000;

/** Makes an image unknown; one that is so already is no error. */
export async function deregisterImage(
  session: AwsSession,
  ImageId: string,
  options: CallOptions,
): Promise<void> {
  try {
    await session.call('DeregisterImage', { ImageId }, options);
  } catch (reason) {
    if (!isMissing(reason)) throw reason;
  }
}

/** Removes a snapshot; one that is gone is no error. That its image is not known any more may take a moment to be seen. */
export async function deleteSnapshot(
  session: AwsSession,
  SnapshotId: string,
  options: CallOptions,
): Promise<void> {
  session.removed.add(SnapshotId);
  for (let attempt = 1; ; attempt++) {
    try {
      await session.call('DeleteSnapshot', { SnapshotId }, options);
      return;
    } catch (reason) {
      if (isMissing(reason)) return;
      if (!isAnswer(reason, /\.InUse$/) || attempt === TRIES) throw reason;
    }
    await session.clock.sleep(PAUSE_MILLISECONDS, options.signal);
  }
}

/** Our snapshots that are none of these, with when they were begun. */
export async function unfinishedDisks(
  session: AwsSession,
  finished: ReadonlySet<string>,
  options: CallOptions,
): Promise<UnfinishedDisk[]> {
  const snapshots = await findSnapshots(session, {}, options);
  return snapshots
    .filter(({ SnapshotId }) => !finished.has(SnapshotId!))
    .map(({ SnapshotId, Tags: list, StartTime }) => ({
      id: SnapshotId!,
      tags: visibleTags(fromTagList(list)),
      since: (StartTime ?? new Date(session.clock.now())).toISOString(),
    }));
}
