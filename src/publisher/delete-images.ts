import type { CloudTarget } from '../cloud/cloud.js';
import type { ImageRow, ResultsOptions } from './named-images.js';
import { forNamedImages } from './named-images.js';
import type { ReadRow } from './row.js';

/** What became of an image that was to be deleted. */
export interface DeletedRow extends ImageRow {
  /** Whether it was there and is gone now, or would be. */
  Deleted: boolean;
}

/**
 * Deletes the images of some results, with their disks. One that is not there any more is no error. With
 * `dryRun` it only says which are there.
 */
export async function deleteImages(
  options: ResultsOptions & { readonly dryRun?: boolean },
): Promise<(DeletedRow | ImageRow)[]> {
  const { dryRun = false, signal } = options;
  return forNamedImages(options, !dryRun, async (cloud, row, image, about): Promise<DeletedRow> => {
    if (image !== undefined && !dryRun) await cloud.remove(image.id, { signal });
    if (image === undefined && !dryRun) await removeLeftDisk(cloud, row, signal);
    return { ...about, Deleted: image !== undefined };
  });
}

/** Removes the disk of an image that was deleted, if deleting was interrupted between the two. */
async function removeLeftDisk(
  cloud: CloudTarget,
  { SnapshotId: diskId }: ReadRow,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (diskId === undefined) return;
  const left = await cloud.unfinished({ signal });
  if (left.some(({ id }) => id === diskId)) await cloud.removeDisk(diskId, { signal });
}
