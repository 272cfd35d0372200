import type { ImageRow, ResultsOptions } from './named-images.js';
import { forNamedImages } from './named-images.js';

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
  return forNamedImages(options, !dryRun, async (cloud, _row, image, about): Promise<DeletedRow> => {
    if (image !== undefined && !dryRun) await cloud.remove(image.id, { signal });
    return { ...about, Deleted: image !== undefined };
  });
}
