import { OWN_TAGS } from '../cloud/aws/tags.js';
import { CLOUD_TAGS, TAG } from '../cloud/cloud.js';
import { ImageUnpackerError } from '../image/error.js';

/** What a cloud takes for one resource, less what we write ourselves. */
const MAX_TAGS = 50 - Object.keys(TAG).length - CLOUD_TAGS;
const MAX_KEY = 128;
const MAX_VALUE = 256;

/** Throws `USAGE` for tags that images cannot be given. */
export function checkTags(tags: Readonly<Record<string, string>>): void {
  const pairs = Object.entries(tags);
  const reserved: readonly string[] = [...Object.values(TAG), ...OWN_TAGS];
  for (const [key, value] of pairs) {
    if (reserved.includes(key)) throw wrongTag(key, 'is written by the publisher itself');
    if (key === '' || key.length > MAX_KEY)
      throw wrongTag(key, `is not 1 to ${String(MAX_KEY)} characters long`);
    if (value.length > MAX_VALUE)
      throw wrongTag(key, `has a value of more than ${String(MAX_VALUE)} characters`);
    if (/\p{Cc}/u.test(key + value)) throw wrongTag(key, 'has control characters');
    if (key.toLowerCase().startsWith('aws:'))
      throw wrongTag(key, 'begins with aws:, which is kept for Amazon');
  }
  if (pairs.length <= MAX_TAGS) return;
  throw new ImageUnpackerError(
    'USAGE',
    `There are ${String(pairs.length)} tags; at most ${String(MAX_TAGS)} fit`,
  );
}

function wrongTag(key: string, what: string): ImageUnpackerError {
  return new ImageUnpackerError('USAGE', `The tag ${JSON.stringify(key)} ${what}; use another`);
}
