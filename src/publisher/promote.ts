import type { CloudTarget, PublishedImage } from '../cloud/cloud.js';
import { TAG } from '../cloud/cloud.js';
import { ImageUnpackerError } from '../image/error.js';
import { giveExclusiveTag, othersWith, PREFERRED, usable } from './exclusive-tag.js';
import type { ImageRow, ResultsOptions } from './named-images.js';
import { forNamedImages } from './named-images.js';

/** What became of an image that was to be the preferred one of its stream. */
export interface PromotedRow extends ImageRow {
  Promoted: boolean;
  /** The images that are no longer preferred. */
  Demoted: string[];
}

export interface PromoteOptions extends ResultsOptions {
  readonly dryRun?: boolean;
  /** Go back to what was preferred before the images of the results. */
  readonly back?: boolean;
}

const WHAT = 'be preferred';

/**
 * Makes the images of some results the preferred ones of their streams: first they get the tag `Preferred`, then
 * the parameters name them where there are any, and only then the others lose the tag, so that there always is one.
 * An image notes which one was preferred before it, in the tag `PreferredBefore`: with `back` that one is preferred
 * again, in place of those of the results. With `dryRun` it only says what would be done.
 */
export async function promote(options: PromoteOptions): Promise<(PromotedRow | ImageRow)[]> {
  const { dryRun = false, back = false, signal } = options;
  return forNamedImages(options, !dryRun, async (cloud, _row, named, about): Promise<PromotedRow> => {
    const image = usable(about, named, WHAT);
    const chosen = back ? await before(cloud, image, about, signal) : image;
    const name = chosen.tags[TAG.imageName];
    const row = { ...about, AmiId: chosen.id, ...(name === undefined ? {} : { ImageName: name }) };
    return { ...row, ...(await prefer(cloud, chosen, dryRun, signal)) };
  });
}

/** Makes an image the preferred one of its stream. */
export async function prefer(
  cloud: CloudTarget,
  image: PublishedImage,
  dryRun: boolean,
  signal: AbortSignal | undefined,
): Promise<Pick<PromotedRow, 'Promoted' | 'Demoted'>> {
  const others = await othersWith(cloud, image, TAG.preferred, { signal });
  const last = others.at(-1)?.id ?? image.tags[TAG.preferredBefore];
  const tag = {
    key: TAG.preferred,
    value: PREFERRED,
    with: last === undefined ? {} : { [TAG.preferredBefore]: last },
    alsoLost: [TAG.preferredBefore],
  };
  if (!dryRun) {
    const announce = async (): Promise<void> => cloud.prefer?.(image, last, { signal });
    await giveExclusiveTag(cloud, image, others, tag, announce, { signal });
  }
  return { Promoted: image.tags[TAG.preferred] !== PREFERRED, Demoted: others.map(({ id }) => id) };
}

/** What was preferred before an image. Throws `IMAGE_UNKNOWN` when that is not known, or cannot be used any more. */
async function before(
  cloud: CloudTarget,
  { id, tags }: PublishedImage,
  { Target }: ImageRow,
  signal: AbortSignal | undefined,
): Promise<PublishedImage> {
  const AmiId = tags[TAG.preferredBefore];
  if (AmiId !== undefined) {
    const all = await cloud.images({}, { signal });
    const found = all.find(image => image.id === AmiId);
    return usable({ AmiId, Target }, found, `${WHAT} again`);
  }
  const why = tags[TAG.preferred] === undefined ? 'it is not preferred' : 'none was preferred before it';
  const message = `There is no way back from ${id} in ${Target}: ${why}; promote the results of another run`;
  throw new ImageUnpackerError('IMAGE_UNKNOWN', message, { target: Target });
}
