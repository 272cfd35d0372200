import { ImageUnpackerError, throwIfAborted } from '../image/error.js';
import { currentMove, showChannel } from './channel.js';
import type { ImageRecord, Store } from './store.js';

export interface ExpireOptions {
  now: Date;
  /** Only of this stream. */
  stream?: string | undefined;
  /** Whether to remove nothing and only say what would be. */
  dryRun: boolean;
  signal?: AbortSignal | undefined;
}

/** What became of the images of a store that have expired. */
export interface Expiry {
  removed: { name: string; digest: string; expiresAt: string }[];
  /** Those that channels name, which stay. */
  kept: { name: string; expiresAt: string; channel: string }[];
}

/** Whether an image has expired. */
export function hasExpired({ expiresAt }: Pick<ImageRecord, 'expiresAt'>, now: Date): boolean {
  return expiresAt !== null && Date.parse(expiresAt) <= now.getTime();
}

/**
 * Removes the images that have expired, but for those that a channel names. One that is made to last longer at the same
 * moment stays.
 */
export async function expireImages(store: Store, options: ExpireOptions): Promise<Expiry> {
  const { now, stream, dryRun, signal } = options;
  const channels = new Map(
    (await store.channels(stream)).map(channel => [currentMove(channel).image, showChannel(channel)]),
  );
  const expiry: Expiry = { removed: [], kept: [] };
  for (const record of await store.list(stream)) {
    throwIfAborted(signal);
    const { name, digest, expiresAt } = record;
    if (expiresAt === null || !hasExpired(record, now)) continue;
    const channel = channels.get(name);
    if (channel !== undefined) expiry.kept.push({ name, expiresAt, channel });
    else if (dryRun || (await removeIfUnchanged(store, record)))
      expiry.removed.push({ name, digest, expiresAt });
  }
  return expiry;
}

async function removeIfUnchanged(store: Store, record: ImageRecord): Promise<boolean> {
  try {
    await store.remove(record.name, { expected: record });
    return true;
  } catch (reason) {
    const code = reason instanceof ImageUnpackerError ? reason.code : undefined;
    // Somebody else was quicker: it lasts longer, is gone already, or is what a channel names.
    if (code === 'IMAGE_CHANGED' || code === 'IMAGE_UNKNOWN' || code === 'IMAGE_IN_USE') return false;
    throw reason;
  }
}
