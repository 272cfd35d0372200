import { ImageUnpackerError } from '../image/error.js';
import { parseImageName } from '../image/name.js';
import { nearest } from '../image/nearest.js';
import { hasExpired } from './expire.js';
import type { ImageRecord, Store } from './store.js';

/**
 * The newest image of a stream that has not expired. Throws `IMAGE_UNKNOWN` when there is none, naming the nearest
 * stream.
 */
export async function latestOf(store: Store, stream: string, now: Date): Promise<ImageRecord> {
  const images = await store.list(stream);
  const newest = images.filter(image => !hasExpired(image, now)).at(-1);
  if (newest !== undefined) return newest;
  if (images.length > 0) {
    const message = `All images of the stream ${stream} in the store ${store.location} have expired; build one, or make one last longer`;
    throw new ImageUnpackerError('IMAGE_UNKNOWN', message, { image: stream });
  }
  const streams = new Set((await store.list()).map(({ name }) => parseImageName(name).stream));
  const near = nearest(stream, streams);
  const hint = near === undefined ? "'imagetool list' shows what there is" : `did you mean ${near}?`;
  const message = `The store ${store.location} has no image of the stream ${stream}; ${hint}`;
  throw new ImageUnpackerError('IMAGE_UNKNOWN', message, { image: stream });
}
