import { setTimeout } from 'node:timers/promises';
import { ImageUnpackerError } from '../image/error.js';
import { imageChanged } from './image-error.js';
import { checkTags } from './record.js';
import type { ImageRecord, Store } from './store.js';

/** So often somebody else may be quicker. */
const ATTEMPTS = 50;
const WAIT_MILLISECONDS = 20;

/** What is to be different about the tags of an image. */
export interface TagChange {
  set: ReadonlyMap<string, string>;
  remove: readonly string[];
}

/**
 * Changes what is kept of an image, whatever others change at the same time: `change` is asked again when they were
 * quicker. Resolves to what has become of it. Throws what `change` throws, `IMAGE_UNKNOWN`, `IMAGE_CHANGED`.
 */
export async function changeImage(
  store: Store,
  name: string,
  change: (record: ImageRecord) => ImageRecord,
): Promise<ImageRecord> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const before = await store.image(name);
    const next = change(before);
    try {
      await store.replace(next, before);
      return next;
    } catch (reason) {
      if (!(reason instanceof ImageUnpackerError) || reason.code !== 'IMAGE_CHANGED') throw reason;
    }
    await setTimeout(WAIT_MILLISECONDS);
  }
  throw imageChanged(store.location, name);
}

/** Whether an image expires sooner than it did. */
export function isSooner(next: string | null, before: string | null): boolean {
  if (next === null) return false;
  return before === null || Date.parse(next) < Date.parse(before);
}

/** The image as it is when it expires at another time (null: never). Throws `EXPIRY_SOONER` unless `shorten` allows that. */
export function withExpiry(record: ImageRecord, expiresAt: string | null, shorten: boolean): ImageRecord {
  if (!shorten && isSooner(expiresAt, record.expiresAt)) throw sooner(record);
  return { ...record, expiresAt };
}

/** The image with other tags. Throws `USAGE` when it would have too many, or one that cannot be. */
export function withTags(record: ImageRecord, { set, remove }: TagChange): ImageRecord {
  const tags = new Map(Object.entries(record.tags));
  for (const key of remove) tags.delete(key);
  for (const [key, value] of set) tags.set(key, value);
  checkTags(tags);
  return { ...record, tags: Object.fromEntries(tags) };
}

function sooner({ name, expiresAt }: ImageRecord): ImageUnpackerError {
  const until = expiresAt === null ? 'never expires' : `is kept until ${expiresAt}`;
  const message = `The image ${name} ${until}, and others may rely on that; to make it expire sooner say --shorten`;
  return new ImageUnpackerError('EXPIRY_SOONER', message, { image: name });
}
