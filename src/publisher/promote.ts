import { TAG } from '../cloud/cloud.js';
import { ImageUnpackerError } from '../image/error.js';
import type { ImageRow, ResultsOptions } from './named-images.js';
import { forNamedImages } from './named-images.js';

/** What became of an image that was to be the preferred one of its stream. */
export interface PromotedRow extends ImageRow {
  Promoted: boolean;
  /** The images that are no longer preferred. */
  Demoted: string[];
}

const PREFERRED = 'true';

/**
 * Makes the images of some results the preferred ones of their streams: first they get the tag `Preferred`, then
 * others lose it, so that there always is one. With `dryRun` it only says what would be done.
 */
export async function promote(
  options: ResultsOptions & { readonly dryRun?: boolean },
): Promise<(PromotedRow | ImageRow)[]> {
  const { dryRun = false, signal } = options;
  return forNamedImages(options, !dryRun, async (cloud, row, image, about): Promise<PromotedRow> => {
    if (image?.fault !== undefined) throw unusable(about, image.fault.message);
    if (image === undefined) throw unusable(about, 'it is gone');
    const stream = image.tags[TAG.stream];
    const all = stream === undefined ? [] : await cloud.images({ [TAG.stream]: stream }, { signal });
    const others = all.filter(({ id, tags }) => id !== image.id && tags[TAG.preferred] !== undefined);
    const isNew = image.tags[TAG.preferred] !== PREFERRED;
    if (isNew && !dryRun) await cloud.setTags(image.id, { [TAG.preferred]: PREFERRED }, [], { signal });
    for (const { id } of dryRun ? [] : others) await cloud.setTags(id, {}, [TAG.preferred], { signal });
    return { ...about, Promoted: isNew, Demoted: others.map(({ id }) => id) };
  });
}

function unusable({ AmiId, Target }: ImageRow, why: string): ImageUnpackerError {
  return new ImageUnpackerError('IMAGE_UNKNOWN', `${AmiId} can not be preferred in ${Target}: ${why}`, {
    target: Target,
  });
}
