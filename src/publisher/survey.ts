import type { CloudTarget, PublishedImage } from '../cloud/cloud.js';
import { TAG } from '../cloud/cloud.js';
import { ImageUnpackerError } from '../image/error.js';
import { parseImageName } from '../image/name.js';
import type { ImageRecord } from '../store/store.js';
import { hasExpired } from './expiry.js';

/** What a target has of an image, and so what is to be done there. */
export type Survey =
  | { readonly kind: 'published'; readonly image: PublishedImage }
  | {
      readonly kind: 'publish';
      /** What the disk can be made from. */
      readonly parent: PublishedImage | undefined;
      /** Images of that name whose disks are gone. */
      readonly replaces: readonly PublishedImage[];
    };

/**
 * Looks at what a target has, and changes nothing. An image of the same stream and content is the one that is
 * wanted, whatever its name, unless it has expired. Throws `IMAGE_EXISTS` when the name is another image's, and
 * `VOLUME_DIFFERENT` when the disk of the image has been written to.
 */
export async function surveyTarget(
  cloud: CloudTarget,
  image: Pick<ImageRecord, 'name' | 'digest'>,
  now: Date,
  signal?: AbortSignal,
): Promise<Survey> {
  const { stream } = parseImageName(image.name);
  const known = await cloud.images({ [TAG.stream]: stream }, { signal });
  const same = known.filter(
    ({ tags }) => tags[TAG.imageDigest] === image.digest && !hasExpired(tags[TAG.expiresAt], now),
  );
  const live = same.findLast(({ fault }) => fault === undefined);
  if (live !== undefined) return { kind: 'published', image: live };
  const namesakes = known.filter(({ tags }) => tags[TAG.imageName] === image.name);
  for (const other of new Set([...namesakes, ...same])) checkIsFree(other, image);
  const replaces = [...new Set([...namesakes, ...same])];
  return { kind: 'publish', parent: await cloud.parent(stream, undefined, { signal }), replaces };
}

/** Throws unless what is published already is only the record of a disk that is gone, or has expired. */
function checkIsFree(other: PublishedImage, image: Pick<ImageRecord, 'name' | 'digest'>): void {
  const { id, tags, fault } = other;
  if (fault?.gone === true) return;
  const subject = { image: image.name };
  if (tags[TAG.imageDigest] !== image.digest) {
    const message = `${image.name} is published already as ${id}, with other content; choose another name, or delete that`;
    throw new ImageUnpackerError('IMAGE_EXISTS', message, subject);
  }
  if (fault === undefined) return;
  const message = `${image.name} is published already as ${id}, but ${fault.message}; delete it to publish it anew`;
  throw new ImageUnpackerError('VOLUME_DIFFERENT', message, subject);
}
