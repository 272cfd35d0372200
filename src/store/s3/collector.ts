import { ImageUnpackerError } from '../../image/error.js';
import type { Bucket } from './bucket.js';
import { COLLECTOR } from './layout.js';
import { LEASE_MILLISECONDS } from './lease.js';

const RENEWAL_MILLISECONDS = 300_000;

/** Sees to it that only one collects at a time: two would not see what the other is about to delete. */
export class Collector {
  readonly #bucket: Bucket;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  /** Does `work`, which is told the time by the clock of S3. Throws `STORE_BUSY` while somebody else collects. */
  async use<T>(work: (now: Date) => Promise<T>): Promise<T> {
    const now = await this.#begin();
    const renew = (): void => void this.#bucket.put(COLLECTOR, String(Date.now())).catch(() => undefined);
    const timer = setInterval(renew, RENEWAL_MILLISECONDS).unref();
    try {
      return await work(now);
    } finally {
      clearInterval(timer);
      await this.#bucket.delete(COLLECTOR);
    }
  }

  async #begin(): Promise<Date> {
    const key = `${COLLECTOR}-clock`;
    await this.#bucket.put(key, '1');
    const now = (await this.#bucket.head(key))?.modified ?? new Date();
    await this.#bucket.delete(key);
    if ((await this.#bucket.put(COLLECTOR, '1', 'new')) !== undefined) return now;
    const other = await this.#bucket.head(COLLECTOR);
    const hasRunOut = other !== undefined && now.getTime() - other.modified.getTime() > LEASE_MILLISECONDS;
    if (hasRunOut && (await this.#bucket.put(COLLECTOR, '2', { etag: other.etag })) !== undefined) return now;
    const message = `Somebody else collects the store ${this.#bucket.location}; run this again when that is done (after a crash: in an hour)`;
    throw new ImageUnpackerError('STORE_BUSY', message, { path: this.#bucket.location });
  }
}
