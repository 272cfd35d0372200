import { isDeepStrictEqual } from 'node:util';
import { ImageUnpackerError } from '../../image/error.js';
import { parseImageName } from '../../image/name.js';
import type { Channel } from '../channel.js';
import { currentMove, decodeChannel, encodeChannel, MAX_CHANNEL_BYTES } from '../channel.js';
import { isDamage, unlessDamaged } from '../damage.js';
import { channelChanged } from '../image-error.js';
import type { OnDamaged } from '../store.js';
import { CHANNELS } from './layout.js';
import { NamedFiles } from './named-files.js';
import type { Session } from './session.js';

/** The channels of a store that is a directory. Whoever moves one holds the lock of the records. */
export class LocalChannels {
  readonly #location: string;
  readonly #files: NamedFiles;

  constructor(location: string) {
    this.#location = location;
    this.#files = new NamedFiles(location, CHANNELS, MAX_CHANNEL_BYTES);
  }

  /** A channel; undefined if there never was one. Throws `STORE_DAMAGED`, `IMAGE_NAME`. */
  async read(stream: string, name: string): Promise<Channel | undefined> {
    const file = `${stream}/${name}`;
    const text = await this.#files.read(file);
    return text === undefined ? undefined : decodeChannel(text, this.#files.pathOf(file), { stream, name });
  }

  /** All channels that name an image, or those of one stream, by their names. */
  async list(stream?: string, onDamaged?: OnDamaged): Promise<Channel[]> {
    const channels: Channel[] = [];
    for (const file of await this.#files.names(stream)) {
      const { stream: within, leaf } = parseImageName(file);
      const channel = await unlessDamaged(file, onDamaged, () => this.read(within, leaf));
      if (channel !== undefined && currentMove(channel).image !== null) channels.push(channel);
    }
    return channels;
  }

  /** Replaces a channel, durably, if it is still the one that is expected. Throws `CHANNEL_CHANGED`. */
  async replace(session: Session, next: Channel, expected: Channel | undefined): Promise<void> {
    const now = await this.read(next.stream, next.name).catch((reason: unknown) => {
      if (isDamage(reason)) return expected;
      throw reason;
    });
    if (!isDeepStrictEqual(now, expected)) throw channelChanged(next);
    try {
      await this.#files.replace(session, `${next.stream}/${next.name}`, encodeChannel(next));
    } catch (reason) {
      throw ImageUnpackerError.from(reason, `Cannot move a channel of the store ${this.#location}`, {
        path: this.#location,
      });
    }
  }
}
