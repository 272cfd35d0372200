import { diskDigest } from '../../image/disk-map.js';
import type { DiskMap } from '../../image/disk-map.js';
import type { PublishedImage } from '../cloud.js';
import type { ParentCandidate } from './choose-parent.js';
import type { EncryptionKey } from './encryption.js';
import { isEncryptedWith } from './encryption.js';
import { findSnapshot } from './find.js';
import { MOST_PARENTS } from './prospects.js';
import type { AwsSession, CallOptions } from './session.js';

/** Those of the images, newest first, whose disks can be parents, with what they hold. */
export async function findParents(
  session: AwsSession,
  images: readonly PublishedImage[],
  key: EncryptionKey,
  mapOf: (image: PublishedImage) => Promise<DiskMap | undefined>,
  options: CallOptions,
): Promise<ParentCandidate[]> {
  const candidates: ParentCandidate[] = [];
  for (const image of images.slice(0, MOST_PARENTS)) {
    const map = await mapOf(image);
    const snapshot = await findSnapshot(session, image.diskId, options);
    if (map === undefined || snapshot?.State !== 'completed' || !isEncryptedWith(snapshot, key)) continue;
    candidates.push({
      snapshotId: image.diskId,
      digest: diskDigest(map).toString('hex'),
      map,
      completedAt: (snapshot.CompletionTime ?? snapshot.StartTime)?.getTime() ?? 0,
    });
  }
  return candidates;
}
