import { ImageUnpackerError } from '../image/error.js';
import { parseImageName } from '../image/name.js';
import type { Channel } from './channel.js';
import { currentMove, showChannel, withMove } from './channel.js';
import { isDamage } from './damage.js';
import { channelChanged, channelUnknown } from './image-error.js';
import type { Store } from './store.js';

export interface MoveOptions {
  movedAt: Date;
  /** What the channel must name until now (null: nothing); left out when that does not matter. */
  from?: string | null | undefined;
}

/** So often somebody else may be quicker, where it does not matter what a channel named before. */
const ATTEMPTS = 20;

/**
 * Moves the channel `stream@name` to an image of its stream, or takes it away (null). Nobody ever sees it name
 * anything else, and what it named stays in its history. Throws `CHANNEL_CHANGED` when it does not name what `from`
 * says, `IMAGE_UNKNOWN`, `IMAGE_NAME`, `CHANNEL_UNKNOWN` when there is none to take away.
 */
export async function moveChannel(
  store: Store,
  { stream, name }: Pick<Channel, 'stream' | 'name'>,
  image: string | null,
  { movedAt, from }: MoveOptions,
): Promise<Channel> {
  if (image !== null) checkStream(stream, name, image);
  for (let attempt = 1; ; attempt++) {
    const digest = image === null ? null : (await store.image(image)).digest;
    const before = await channelBefore(store, { stream, name }, from);
    const named = before === undefined ? null : currentMove(before).image;
    if (image === null && named === null) throw await channelUnknown(store, stream, name);
    if (from !== undefined && named !== from) throw channelChanged({ stream, name });
    const now = before === undefined ? undefined : currentMove(before);
    // It may have been moved to an image of the same name that was deleted and made anew.
    if (before !== undefined && now?.image === image && now.digest === digest) return before;
    const next = withMove(before, { stream, name }, { image, digest, movedAt: movedAt.toISOString() });
    try {
      await store.replaceChannel(next, before);
      return next;
    } catch (reason) {
      const isChanged = reason instanceof ImageUnpackerError && reason.code === 'CHANNEL_CHANGED';
      if (!isChanged || from !== undefined || attempt === ATTEMPTS) throw reason;
    }
  }
}

/** What a channel is; one that is damaged, as nothing but to move it mends it, is as if it were new. */
async function channelBefore(
  store: Store,
  { stream, name }: Pick<Channel, 'stream' | 'name'>,
  from: string | null | undefined,
): Promise<Channel | undefined> {
  try {
    return await store.channel(stream, name);
  } catch (reason) {
    if (from !== undefined || !isDamage(reason)) throw reason;
    return undefined;
  }
}

function checkStream(stream: string, name: string, image: string): void {
  if (parseImageName(image).stream === stream) return;
  const channel = showChannel({ stream, name });
  throw new ImageUnpackerError(
    'IMAGE_NAME',
    `The channel ${channel} names images of the stream ${stream} only, and ${image} is none of those`,
    { image },
  );
}
