import { ImageUnpackerError } from '../image/error.js';
import { parseImageName } from '../image/name.js';
import { nearest } from '../image/nearest.js';
import type { Channel } from './channel.js';
import { showChannel } from './channel.js';
import type { Store } from './store.js';

/*
 * The errors about images and channels that every kind of store has. `location` is the store's.
 */

/** A name is taken. */
export function imageExists(location: string, name: string): ImageUnpackerError {
  const message = `The image ${name} exists already in the store ${location}; choose another name, or delete it`;
  return new ImageUnpackerError('IMAGE_EXISTS', message, { image: name });
}

/** A name was that of an image with other content, which was deleted. */
export function imageDeleted(location: string, name: string): ImageUnpackerError {
  const message = `The name ${name} was that of an image with other content, which was deleted from the store ${location}; choose another name, or say --reuse-name`;
  return new ImageUnpackerError('IMAGE_DELETED', message, { image: name });
}

/** Somebody else has changed or deleted an image meanwhile. */
export function imageChanged(location: string, name: string): ImageUnpackerError {
  const message = `The image ${name} in the store ${location} was changed meanwhile by somebody else; run this again`;
  return new ImageUnpackerError('IMAGE_CHANGED', message, { image: name });
}

/** A channel names the image. */
export function imageInUse(name: string, channel: Pick<Channel, 'stream' | 'name'>): ImageUnpackerError {
  const message = `The image ${name} is what the channel ${showChannel(channel)} names; move the channel first, or say --force`;
  return new ImageUnpackerError('IMAGE_IN_USE', message, { image: name });
}

/** Somebody else has moved a channel meanwhile. */
export function channelChanged(channel: Pick<Channel, 'stream' | 'name'>): ImageUnpackerError {
  const shown = showChannel(channel);
  const message = `The channel ${shown} does not name what it was expected to; 'imagetool channels' shows what it does`;
  return new ImageUnpackerError('CHANNEL_CHANGED', message, { image: shown });
}

/** There is no such image; names the nearest that there is. */
export async function imageUnknown(
  { location, list }: { location: string; list: (stream?: string) => Promise<string[]> },
  name: string,
): Promise<ImageUnpackerError> {
  const { stream, leaf } = parseImageName(name);
  const siblings = (await list(stream)).map(each => parseImageName(each).leaf);
  const sibling = nearest(leaf, siblings) ?? siblings.at(-1);
  const near = sibling === undefined ? nearest(name, await list()) : `${stream}/${sibling}`;
  const hint = near === undefined ? "'imagetool list' shows what there is" : `did you mean ${near}?`;
  const message = `The store ${location} has no image ${name}; ${hint}`;
  return new ImageUnpackerError('IMAGE_UNKNOWN', message, { image: name });
}

/** There is no such channel; names the nearest that there is. */
export async function channelUnknown(
  store: Store,
  stream: string,
  name: string,
): Promise<ImageUnpackerError> {
  const near = nearest(`${stream}@${name}`, (await store.channels()).map(showChannel));
  const hint = near === undefined ? "'imagetool channels' shows what there is" : `did you mean ${near}?`;
  const message = `The store ${store.location} has no channel ${stream}@${name}; ${hint}`;
  return new ImageUnpackerError('CHANNEL_UNKNOWN', message, { image: `${stream}@${name}` });
}
