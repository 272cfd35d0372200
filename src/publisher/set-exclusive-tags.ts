import { TAG } from '../cloud/cloud.js';
import { ImageUnpackerError } from '../image/error.js';
import { giveExclusiveTag, othersWith, PREFERRED, usable } from './exclusive-tag.js';
import type { ImageRow, ResultsOptions } from './named-images.js';
import { forNamedImages } from './named-images.js';
import { prefer } from './promote.js';
import { checkTagKey } from './tag-key.js';

/** What became of an image that was to be the only one of its stream with a tag. */
export interface ExclusiveTagRow extends ImageRow {
  Key: string;
  Value: string;
  /** Whether it did not have it before. */
  Tagged: boolean;
  /** The images that have it no longer. */
  Untagged: string[];
}

const MOST_CHARACTERS = 255;

/**
 * Gives the images of some results a tag, and then takes it from the others of their streams. `Preferred` with `true` is
 * what `promote` does. With `dryRun` it only says what would be done. Throws `USAGE` for a tag that images are known by.
 */
export async function setExclusiveTags(
  key: string,
  value: string,
  options: ResultsOptions & { readonly dryRun?: boolean },
): Promise<(ExclusiveTagRow | ImageRow)[]> {
  checkTagKey(key);
  if (value.length > MOST_CHARACTERS) {
    const message = `The value of the tag ${key} has more than ${String(MOST_CHARACTERS)} characters`;
    throw new ImageUnpackerError('USAGE', message);
  }
  const { dryRun = false, signal } = options;
  return forNamedImages(options, !dryRun, async (cloud, _row, named, about): Promise<ExclusiveTagRow> => {
    const image = usable(about, named, 'be tagged');
    const row = { ...about, Key: key, Value: value };
    if (key === TAG.preferred && value === PREFERRED) {
      const { Promoted, Demoted } = await prefer(cloud, image, dryRun, signal);
      return { ...row, Tagged: Promoted, Untagged: Demoted };
    }
    const others = await othersWith(cloud, image, key, { signal });
    const nothing = (): Promise<void> => Promise.resolve();
    if (!dryRun) await giveExclusiveTag(cloud, image, others, { key, value }, nothing, { signal });
    return { ...row, Tagged: image.tags[key] !== value, Untagged: others.map(({ id }) => id) };
  });
}
