import type { CloudCallOptions, DiskMaps, ParentProspect, PublishedImage } from '../cloud.js';
import { TAG } from '../cloud.js';
import { READY_SECONDS } from './choose-parent.js';
import type { EncryptionKey } from './encryption.js';
import { isEncryptedWith } from './encryption.js';
import { findSnapshots } from './find.js';
import type { AwsSession } from './session.js';

/** More parents than the newest ones are not worth a look. */
export const MOST_PARENTS = 4;

/** Where parents are looked for. */
export interface ParentSearch {
  readonly stream: string;
  /** Those of the stream, oldest first. */
  readonly images: readonly PublishedImage[];
  readonly key: EncryptionKey;
  readonly maps: DiskMaps;
}

/**
 * The images whose snapshots can be parents, newest first: complete, encrypted with the key that is wanted, and
 * known for what they hold. Whether one has the size of the disk that will be made is not known yet.
 */
export async function parentProspects(
  session: AwsSession,
  { stream, images, key, maps }: ParentSearch,
  { signal }: CloudCallOptions,
): Promise<ParentProspect[]> {
  const usable = images.filter(({ fault }) => fault === undefined);
  const newest = usable.slice(-MOST_PARENTS).reverse();
  if (newest.length === 0) return [];
  const snapshots = await findSnapshots(session, { [TAG.stream]: stream }, { signal });
  const prospects: ParentProspect[] = [];
  for (const image of newest) {
    const snapshot = snapshots.find(({ SnapshotId }) => SnapshotId === image.diskId);
    const digest = image.tags[TAG.diskDigest];
    if (snapshot?.State !== 'completed' || !isEncryptedWith(snapshot, key) || digest === undefined) continue;
    if ((await maps.find(image.tags, digest)) === undefined) continue;
    const completedAt = (snapshot.CompletionTime ?? snapshot.StartTime)?.getTime() ?? 0;
    const age = Math.max(0, session.clock.now() - completedAt) / 1000;
    prospects.push({ image, readyInSeconds: Math.max(0, READY_SECONDS - age) });
  }
  return prospects;
}
