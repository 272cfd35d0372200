import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { ImageUnpackerError, throwIfAborted } from '../../image/error.js';
import { decodeCondemned, encodeMarks, markOf, MAX_LIST_BYTES } from '../condemned-list.js';
import type { Bucket } from './bucket.js';
import { isRefusal } from './failure.js';
import { COLLECTOR, CONDEMNED, DELETING, LEASES, RESCUED } from './layout.js';

/*
 * How objects that somebody needs are kept from being deleted, with no clock but that of S3.
 *
 * Who reads or stores holds a lease, which says of which condemned lists he knows. Who collects writes down what he wants
 * to delete (a condemned list), and deletes nothing while there is a lease that does not know of that list. Whoever
 * does know of it, and needs an object on it, writes that down (rescued) before he relies on it. Before objects are
 * deleted, `deleting` is written, and only then it is read what has been rescued: so one of the two sees the other. Who
 * rescues and sees `deleting` waits until the list is gone, and looks again what there is.
 *
 *   lease      = LF *( list LF )                names of lists
 *   condemned, rescued                          condemned-list.ts
 */

/** A lease that was not renewed for so long has run out, by the clock of S3: its holder is gone. */
export const LEASE_MILLISECONDS = 3_600_000;
const RENEWAL_MILLISECONDS = 600_000;
/** Objects are deleted a thousand with one request. */
const DELETION_MILLISECONDS = 10 * 60_000;
const POLL_MILLISECONDS = 500;

/** Keeps the objects that somebody reads, finds or stores from being deleted, until it is ended. */
export class S3Lease {
  readonly #bucket: Bucket;
  readonly #signal: AbortSignal | undefined;
  readonly #key = `${LEASES}${randomBytes(12).toString('hex')}`;
  readonly #condemned = new Map<string, Set<string>>();
  #rescues = 0;
  #timer: NodeJS.Timeout | undefined;
  #isHeld = false;
  #aware = '\n';
  #etag: string | undefined;
  #renewing: Promise<unknown> = Promise.resolve();

  constructor(bucket: Bucket, signal: AbortSignal | undefined) {
    this.#bucket = bucket;
    this.#signal = signal;
  }

  /** Begins it. Who may only read goes without, and relies on nothing being deleted meanwhile. */
  async begin(): Promise<void> {
    let names = await this.#listCondemned();
    for (;;) {
      const aware = `\n${names.join('')}`;
      try {
        this.#etag = await this.#bucket.put(this.#key, aware);
      } catch (reason) {
        if (isRefusal(reason)) return;
        throw reason;
      }
      this.#isHeld = true;
      // What was written before the lease could be seen must be known of.
      names = await this.#listCondemned();
      if (`\n${names.join('')}` === aware) break;
    }
    for (const line of names) await this.#learn(line.trimEnd());
    this.#aware = `\n${names.join('')}`;
    const renew = (): void =>
      void this.#renew().catch(() => {
        // The next one may do; it holds for several of them.
      });
    this.#timer = setInterval(renew, RENEWAL_MILLISECONDS).unref();
  }

  /**
   * Sees to it that it has held all the time until now, and holds on. Throws `STORE_BUSY` when it has run out: a machine that
   * was asleep may have missed that objects were deleted.
   */
  async confirm(): Promise<void> {
    if (!this.#isHeld || (await this.#renew())) return;
    const message = `What was stored in ${this.#bucket.location} took so long, or this machine was asleep, that others may have deleted some of it; run this again`;
    throw new ImageUnpackerError('STORE_BUSY', message, { path: this.#bucket.location });
  }

  /**
   * Keeps objects from being deleted that may be condemned. Afterwards it is to be looked whether they are there: some may
   * have been deleted just then. Throws `STORE_BUSY`.
   */
  async rescue(digests: readonly Buffer[]): Promise<void> {
    for (const [list, condemned] of this.#condemned) {
      const marks = [...new Set(digests.map(markOf))].filter(mark => condemned.has(mark));
      if (marks.length === 0) continue;
      await this.#rescueFrom(list, marks);
      for (const mark of marks) condemned.delete(mark);
    }
  }

  async end(): Promise<void> {
    clearInterval(this.#timer);
    if (!this.#isHeld) return;
    this.#isHeld = false;
    // One that cannot be deleted runs out.
    await this.#bucket.delete(this.#key).catch(() => undefined);
  }

  /** Whether it was still there: who collects removes what has run out. */
  async #renew(): Promise<boolean> {
    // One after the other: each knows the version that the last one has made.
    const renewed = this.#renewing.then(async () => {
      if (this.#etag === undefined) return false;
      this.#etag = await this.#bucket.put(this.#key, this.#aware, { etag: this.#etag });
      return this.#etag !== undefined;
    });
    this.#renewing = renewed.catch(() => undefined);
    return renewed;
  }

  async #rescueFrom(list: string, marks: readonly string[]): Promise<void> {
    const session = this.#key.slice(LEASES.length);
    const key = `${RESCUED}${list}/${session}-${String(this.#rescues++)}`;
    await this.#bucket.put(key, encodeMarks(marks));
    const deadline = performance.now() + DELETION_MILLISECONDS;
    while ((await this.#bucket.head(DELETING + list)) !== undefined) {
      if ((await this.#bucket.head(CONDEMNED + list)) === undefined) break;
      throwIfAborted(this.#signal);
      const isOver = performance.now() > deadline || (await this.#bucket.head(COLLECTOR)) === undefined;
      if (isOver && (await this.#bucket.head(CONDEMNED + list)) !== undefined)
        throw interrupted(this.#bucket.location);
      await setTimeout(POLL_MILLISECONDS);
    }
    // It may have ended before that was written, and taken away nothing of it.
    if ((await this.#bucket.head(CONDEMNED + list)) === undefined) {
      await this.#bucket.delete(key);
      this.#condemned.delete(list);
    }
  }

  /** Lines of a lease. */
  async #listCondemned(): Promise<string[]> {
    const names: string[] = [];
    for await (const { key } of this.#bucket.list(CONDEMNED)) names.push(`${key.slice(CONDEMNED.length)}\n`);
    return names.sort();
  }

  async #learn(list: string): Promise<void> {
    const found = await this.#bucket.get(CONDEMNED + list, MAX_LIST_BYTES);
    if (found === undefined) return;
    const marks = decodeCondemned(found.bytes);
    if (marks !== undefined) this.#condemned.set(list, marks);
  }
}

function interrupted(location: string): ImageUnpackerError {
  const message = `Objects of the store ${location} that are needed again were being deleted when that was interrupted; run 'imagetool gc', which ends it, and then this again`;
  return new ImageUnpackerError('STORE_BUSY', message, { path: location });
}
