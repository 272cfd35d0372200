import { OWN_TAGS } from '../cloud/aws/tags.js';
import { TAG } from '../cloud/cloud.js';
import { ImageUnpackerError } from '../image/error.js';

/** By these an image is known. */
const IDENTITY: ReadonlySet<string> = new Set([
  TAG.name,
  TAG.stream,
  TAG.imageName,
  TAG.imageDigest,
  TAG.diskDigest,
  TAG.run,
  TAG.preferredBefore,
  ...OWN_TAGS,
]);

/** Checks that a tag may be changed by hand. Throws `USAGE` for one that publishing knows images by. */
export function checkTagKey(key: string): void {
  const why = IDENTITY.has(key)
    ? 'images are known by it'
    : key.toLowerCase().startsWith('aws:')
      ? 'it is one of AWS'
      : key === '' || key.length > 127
        ? 'a key has 1 to 127 characters'
        : undefined;
  if (why === undefined) return;
  throw new ImageUnpackerError('USAGE', `The tag "${key}" is not changed by hand: ${why}`);
}
