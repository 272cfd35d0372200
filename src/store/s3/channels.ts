import { isDeepStrictEqual } from 'node:util';
import { parseImageName } from '../../image/name.js';
import type { Channel } from '../channel.js';
import { currentMove, decodeChannel, encodeChannel, MAX_CHANNEL_BYTES } from '../channel.js';
import { isDamage, unlessDamaged } from '../damage.js';
import { channelChanged } from '../image-error.js';
import { inParallel } from '../../image/in-parallel.js';
import type { OnDamaged } from '../store.js';
import type { Bucket, Condition } from './bucket.js';
import { CHANNELS, namedKey, nameOfKey } from './layout.js';

const READS_AT_ONCE = 32;

/** The channels of a store on S3. */
export class S3Channels {
  readonly #bucket: Bucket;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  /** A channel; undefined if there never was one. Throws `STORE_DAMAGED`, `IMAGE_NAME`. */
  async read(stream: string, name: string): Promise<Channel | undefined> {
    return (await this.#find(stream, name))?.channel;
  }

  /** All channels that name an image, or those of one stream, by their names. */
  async list(stream?: string, onDamaged?: OnDamaged): Promise<Channel[]> {
    const names: string[] = [];
    const below = stream === undefined ? CHANNELS : `${CHANNELS}${stream}/@`;
    for await (const { key } of this.#bucket.list(below)) {
      const name = nameOfKey(CHANNELS, key);
      if (name !== undefined) names.push(name);
    }
    const channels = await inParallel(names.sort(), READS_AT_ONCE, async name => {
      const { stream: within, leaf } = parseImageName(name);
      return unlessDamaged(name, onDamaged, () => this.read(within, leaf));
    });
    return channels.filter(
      channel => channel !== undefined && currentMove(channel).image !== null,
    ) as Channel[];
  }

  /** Replaces a channel if it is still the one that is expected. Throws `CHANNEL_CHANGED`. */
  async replace(next: Channel, expected: Channel | undefined): Promise<void> {
    const key = namedKey(CHANNELS, `${next.stream}/${next.name}`);
    const condition = await this.#conditionFor(key, next, expected);
    if (
      condition === undefined ||
      (await this.#bucket.put(key, encodeChannel(next), condition)) === undefined
    )
      throw channelChanged(next);
  }

  async #conditionFor(
    key: string,
    next: Channel,
    expected: Channel | undefined,
  ): Promise<Condition | undefined> {
    try {
      const there = await this.#find(next.stream, next.name);
      if (!isDeepStrictEqual(there?.channel, expected)) return undefined;
      return there === undefined ? 'new' : { etag: there.etag };
    } catch (reason) {
      if (!isDamage(reason)) throw reason;
      const damaged = await this.#bucket.head(key);
      return damaged === undefined ? 'new' : { etag: damaged.etag };
    }
  }

  async #find(stream: string, name: string): Promise<{ channel: Channel; etag: string } | undefined> {
    const key = namedKey(CHANNELS, `${stream}/${name}`);
    const found = await this.#bucket.get(key, MAX_CHANNEL_BYTES);
    if (found === undefined) return undefined;
    const place = `${this.#bucket.location}/${key}`;
    return { channel: decodeChannel(found.bytes, place, { stream, name }), etag: found.etag };
  }
}
