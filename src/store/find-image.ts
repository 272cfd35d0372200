import { ImageUnpackerError } from '../image/error.js';
import { parseImageOrChannel } from '../image/name.js';
import { currentMove, showChannel } from './channel.js';
import { channelUnknown } from './image-error.js';
import type { ImageRecord, Store } from './store.js';

/**
 * The image that is meant by `stream/leaf`, or by `stream@channel`: what the channel names at this moment. Throws
 * `IMAGE_NAME`, `IMAGE_UNKNOWN`, `CHANNEL_UNKNOWN`, `STORE_DAMAGED`.
 */
export async function findImage(store: Store, name: string): Promise<ImageRecord> {
  const { stream, channel } = parseImageOrChannel(name);
  if (channel === undefined) return store.image(name);
  const found = await store.channel(stream, channel);
  const { image, digest } = found === undefined ? { image: null, digest: null } : currentMove(found);
  if (image === null) throw await channelUnknown(store, stream, channel);
  const record = await store.image(image);
  if (record.digest === digest) return record;
  const shown = showChannel({ stream, name: channel });
  throw new ImageUnpackerError(
    'IMAGE_UNKNOWN',
    `The channel ${shown} was moved to an image ${image} that is gone, and another has its name now; move the channel again`,
    { image: shown },
  );
}
