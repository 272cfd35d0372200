import type { CloudCallOptions, CloudTarget, PublishedImage, Tags } from '../cloud/cloud.js';
import { TAG } from '../cloud/cloud.js';
import { ImageUnpackerError } from '../image/error.js';
import type { ImageRow } from './named-images.js';

/** The value of the tag `Preferred`. */
export const PREFERRED = 'true';

/** A tag that one image of a stream has, and no other. */
export interface ExclusiveTag {
  readonly key: string;
  readonly value: string;
  /** Further tags that the image gets with it. */
  readonly with?: Tags | undefined;
  /** Those that others lose with it. */
  readonly alsoLost?: readonly string[] | undefined;
}

/** The images of the same stream that have a tag, but for the image itself; of an image of no stream none. */
export async function othersWith(
  cloud: CloudTarget,
  { id, tags }: PublishedImage,
  key: string,
  options: CloudCallOptions,
): Promise<PublishedImage[]> {
  const stream = tags[TAG.stream];
  const all = stream === undefined ? [] : await cloud.images({ [TAG.stream]: stream }, options);
  return all.filter(other => other.id !== id && other.tags[key] !== undefined);
}

/**
 * Gives an image a tag, does `between`, and only then takes it from the others of its stream: there is no moment at
 * which no image has it. It can be done again after it was interrupted.
 */
export async function giveExclusiveTag(
  cloud: CloudTarget,
  image: PublishedImage,
  others: readonly PublishedImage[],
  tag: ExclusiveTag,
  between: () => Promise<void>,
  options: CloudCallOptions,
): Promise<void> {
  if (image.tags[tag.key] !== tag.value) {
    await cloud.setTags(image.id, { [tag.key]: tag.value, ...tag.with }, [], options);
  }
  await between();
  for (const { id } of others) await cloud.setTags(id, {}, [tag.key, ...(tag.alsoLost ?? [])], options);
}

/** The image, if it can be used. Throws `IMAGE_UNKNOWN`. */
export function usable(
  { AmiId, Target }: Pick<ImageRow, 'AmiId' | 'Target'>,
  image: PublishedImage | undefined,
  what: string,
): PublishedImage {
  const why = image === undefined ? 'it is gone' : image.fault?.message;
  if (image !== undefined && why === undefined) return image;
  const message = `${AmiId} cannot ${what} in ${Target}: ${why ?? ''}`;
  throw new ImageUnpackerError('IMAGE_UNKNOWN', message, { target: Target });
}
