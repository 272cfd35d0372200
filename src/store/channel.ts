import * as v from 'valibot';
import { isHexDigest } from '../image/digest.js';
import { ImageUnpackerError } from '../image/error.js';
import { isPart, parseImageName } from '../image/name.js';
import { seal, unseal } from '../image/sealed.js';
import { isImageName } from './record.js';
import { time } from './record-time.js';

/*
 * A channel: a name within a stream, base/debian-12@stable, that is moved from one image of the stream to another. It is
 * kept as a sealed record (image/sealed.ts):
 *
 *   stream   as image/name.ts has it
 *   name     a part of an image name
 *   moves    array, oldest first, 1 to 1000 of them, each an object:
 *     image    the name of an image of the stream, or null where the channel was taken away
 *     digest   of that image, hex, or null
 *     movedAt  RFC 3339, in UTC with milliseconds
 */

/** What a channel named from some time on. */
export interface ChannelMove {
  /** Null where the channel was taken away. */
  image: string | null;
  /** The digest that the image had, in hex. */
  digest: string | null;
  movedAt: string;
}

/** A name within a stream that is moved from image to image. */
export interface Channel {
  stream: string;
  name: string;
  /** All that it has named, oldest first; of very many the newest. There is at least one. */
  moves: readonly ChannelMove[];
}

/** A channel of a thousand moves, all at their limits, stays below it. */
export const MAX_CHANNEL_BYTES = 2 << 20;
const MAX_MOVES = 1000;

const move = v.pipe(
  v.strictObject({
    image: v.nullable(v.pipe(v.string(), v.check(isImageName, 'is no image name'))),
    digest: v.nullable(v.pipe(v.string(), v.check(isHexDigest, 'is no digest'))),
    movedAt: time,
  }),
  v.check(({ image, digest }) => (image === null) === (digest === null), 'has one of image and digest'),
);

const schema = v.pipe(
  v.strictObject({
    stream: v.string(),
    name: v.pipe(v.string(), v.check(isPart, 'is no name of a channel')),
    moves: v.pipe(v.array(move), v.minLength(1), v.maxLength(MAX_MOVES)),
  }),
  v.check(
    ({ stream, moves }) =>
      moves.every(({ image }) => image === null || parseImageName(image).stream === stream),
    'names an image of another stream',
  ),
);

/** A channel as it is kept. */
export function encodeChannel({ stream, name, moves }: Channel): Buffer {
  const plain = moves.map(({ image, digest, movedAt }) => ({ image, digest, movedAt }));
  return Buffer.from(seal({ stream, name, moves: plain }));
}

/** The channel in `text`, which was kept at `place` under that name. Throws `STORE_DAMAGED`. */
export function decodeChannel(
  text: Buffer,
  place: string,
  { stream, name }: Pick<Channel, 'stream' | 'name'>,
): Channel {
  const result = v.safeParse(schema, unseal(text, place, 'STORE_DAMAGED'), { abortEarly: true });
  const isThis = result.success && result.output.stream === stream && result.output.name === name;
  if (isThis) return result.output;
  const why = result.success ? 'it is another channel' : result.issues[0].message;
  throw new ImageUnpackerError('STORE_DAMAGED', `${place} is damaged: ${why}; move the channel anew`, {
    path: place,
  });
}

/** What a channel names now. */
export function currentMove({ moves }: Channel): ChannelMove {
  return moves.at(-1)!;
}

/** A channel that has been moved once more; of too many moves the oldest are forgotten. */
export function withMove(
  before: Channel | undefined,
  { stream, name }: Pick<Channel, 'stream' | 'name'>,
  next: ChannelMove,
): Channel {
  return { stream, name, moves: [...(before?.moves ?? []), next].slice(-MAX_MOVES) };
}

/** How a channel is written: `stream@name`. */
export function showChannel({ stream, name }: Pick<Channel, 'stream' | 'name'>): string {
  return `${stream}@${name}`;
}
