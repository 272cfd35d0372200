import { usable } from './exclusive-tag.js';
import type { ImageRow, ResultsOptions } from './named-images.js';
import { forNamedImages } from './named-images.js';
import { checkTagKey } from './tag-key.js';

/** What became of a tag of an image. */
export interface TagDeletedRow extends ImageRow {
  Key: string;
  /** What it said; left out when there was none. */
  Value?: string;
  /** Whether it was there and is not any more, or would not be. */
  Deleted: boolean;
}

/**
 * Removes a tag of the images of some results, and of their disks: without `ExpiresAt` an image stays. With `dryRun` it
 * only says where there is one. Throws `USAGE` for a tag that images are known by.
 */
export async function deleteTags(
  key: string,
  options: ResultsOptions & { readonly dryRun?: boolean },
): Promise<(TagDeletedRow | ImageRow)[]> {
  checkTagKey(key);
  const { dryRun = false, signal } = options;
  return forNamedImages(options, !dryRun, async (cloud, _row, named, about): Promise<TagDeletedRow> => {
    const { id, tags } = usable(about, named, 'lose a tag');
    const value = tags[key];
    // The disk may have it still when the last time was interrupted.
    if (!dryRun) await cloud.setTags(id, {}, [key], { signal });
    return {
      ...about,
      Key: key,
      ...(value === undefined ? {} : { Value: value }),
      Deleted: value !== undefined,
    };
  });
}
