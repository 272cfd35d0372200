import { randomBytes } from 'node:crypto';
import type { S3ClientConfig } from '@aws-sdk/client-s3';
import type { Step } from '../../image/progress.js';
import type { Collection, CollectOptions } from '../collection.js';
import { decodeCondemned, decodeMarks, encodeCondemned, markOf, MAX_LIST_BYTES } from '../condemned-list.js';
import type { Bucket, KeyFacts } from './bucket.js';
import { Collector } from './collector.js';
import { CONDEMNED, DELETING, DISK_MAPS, LEASES, objectKey, RESCUED } from './layout.js';
import { LEASE_MILLISECONDS } from './lease.js';
import { Marks } from './marks.js';
import { S3Objects } from './objects.js';
import { openBucket } from './open.js';
import { Completeness } from './completeness.js';

/** A list has no more objects. */
const LISTED_AT_MOST = 1_000_000;

export interface S3CollectOptions extends CollectOptions {
  /** What was stored so lately stays: S3 may be copying what needs it from another bucket. Seconds. */
  keepFor: number;
  config?: S3ClientConfig | undefined;
}

/** An object that no image needs. */
type Unneeded = KeyFacts & { digest: Buffer };

/**
 * Deletes the objects that no image of the store needs, while others use it (lease.ts): what may be in use is written
 * down and deleted by a later collection. Nothing is deleted when a record, an index or a page is damaged: what it needs
 * is not known then. Throws `STORE_DAMAGED`, `STORE_BUSY` while somebody else collects, `STORE_MISSING`.
 */
export async function collectS3(location: string, options: S3CollectOptions): Promise<Collection> {
  const bucket = await openBucket(location, options);
  try {
    return await new Collector(bucket).use(async now => new S3Collection(bucket, now, options).run());
  } finally {
    bucket.close();
  }
}

class S3Collection {
  readonly #bucket: Bucket;
  readonly #objects: S3Objects;
  readonly #marks: Marks;
  /** By the clock of S3. */
  readonly #now: Date;
  readonly #options: S3CollectOptions;
  readonly #found: Collection = {
    images: 0,
    keptObjects: 0,
    keptBytes: 0,
    removedObjects: 0,
    removedBytes: 0,
    heldObjects: 0,
    heldBytes: 0,
  };

  constructor(bucket: Bucket, now: Date, options: S3CollectOptions) {
    this.#bucket = bucket;
    this.#objects = new S3Objects(bucket);
    this.#marks = new Marks(bucket, this.#objects, options.signal);
    this.#now = now;
    this.#options = options;
  }

  async run(): Promise<Collection> {
    const { progress, dryRun } = this.#options;
    await during(progress.step('Finding what is needed', 'entries'), step => this.#marks.update(step));
    // What an earlier collection has condemned, and what none has.
    const lists = new Set<string>();
    const condemned = new Set<string>();
    for await (const { key } of this.#bucket.list(CONDEMNED)) {
      const list = key.slice(CONDEMNED.length);
      lists.add(list);
      for (const mark of (await this.#read(list)) ?? []) condemned.add(mark);
    }
    const unneeded = await this.#findUnneeded();
    const fresh = unneeded.filter(({ digest }) => !condemned.has(markOf(digest)));
    if (!dryRun) for (const list of await this.#condemn(fresh)) lists.add(list);
    const byMark = new Map(unneeded.map(each => [markOf(each.digest), each]));
    await during(progress.step('Deleting what is not', 'files'), async step => {
      if (dryRun) this.#count(unneeded);
      else for (const list of lists) await this.#finish(list, byMark, step);
    });
    if (!dryRun) await this.#sweepDiskMaps();
    // What stays was needed by nobody, and is not to be counted as needed.
    for (const { size } of byMark.values()) {
      this.#found.heldObjects += dryRun ? 0 : 1;
      this.#found.heldBytes += dryRun ? 0 : size;
    }
    return { ...this.#found, images: this.#marks.images };
  }

  async #findUnneeded(): Promise<Unneeded[]> {
    const unneeded: Unneeded[] = [];
    const young = this.#now.getTime() - this.#options.keepFor * 1000;
    await this.#objects.visitAll(facts => {
      const { digest, size, modified } = facts;
      if (this.#marks.has(markOf(digest))) {
        this.#found.keptObjects++;
        this.#found.keptBytes += size;
      } else if (modified.getTime() > young) {
        this.#found.heldObjects++;
        this.#found.heldBytes += size;
      } else {
        unneeded.push(facts);
      }
    });
    return unneeded;
  }

  /** Writes down what is to be deleted; resolves to the lists. */
  async #condemn(unneeded: readonly Unneeded[]): Promise<string[]> {
    const lists: string[] = [];
    for (let at = 0; at < unneeded.length; at += LISTED_AT_MOST) {
      const list = randomBytes(12).toString('hex');
      const marks = unneeded.slice(at, at + LISTED_AT_MOST).map(({ digest }) => markOf(digest));
      await this.#bucket.put(CONDEMNED + list, encodeCondemned(marks));
      lists.push(list);
    }
    return lists;
  }

  /** Deletes what a list has, unless somebody may use it who does not know of the list. */
  async #finish(list: string, unneeded: Map<string, Unneeded>, step: Step): Promise<void> {
    if (await this.#isHeld(list)) return;
    const condemned = await this.#read(list);
    if (condemned !== undefined) {
      await this.#bucket.put(DELETING + list, '1');
      for await (const { key } of this.#bucket.list(`${RESCUED}${list}/`)) {
        const rescued = await this.#bucket.get(key, MAX_LIST_BYTES);
        for (const mark of decodeMarks(rescued?.bytes ?? Buffer.alloc(0))) condemned.delete(mark);
      }
      // Those who held it may have made images meanwhile.
      await this.#marks.update(step);
      const doomed = [...condemned].flatMap(mark =>
        this.#marks.has(mark) ? [] : (unneeded.get(mark) ?? []),
      );
      await new Completeness(this.#bucket, this.#objects).forgetAllBut(this.#marks.digests);
      await this.#bucket.deleteMany(doomed.map(({ digest }) => objectKey(digest)));
      this.#count(doomed);
      for (const { digest } of doomed) unneeded.delete(markOf(digest));
      step.update(this.#found.removedObjects);
    }
    for await (const { key } of this.#bucket.list(`${RESCUED}${list}/`)) await this.#bucket.delete(key);
    await this.#bucket.delete(CONDEMNED + list);
    await this.#bucket.delete(DELETING + list);
  }

  /** Whether there is a lease that does not know of a list. Those that have run out are removed. */
  async #isHeld(list: string): Promise<boolean> {
    let isHeld = false;
    for await (const { key, modified } of this.#bucket.list(LEASES)) {
      if (this.#now.getTime() - modified.getTime() > LEASE_MILLISECONDS) {
        await this.#bucket.delete(key);
        continue;
      }
      const lease = await this.#bucket.get(key, MAX_LIST_BYTES);
      if (lease !== undefined && !lease.bytes.toString().split('\n').includes(list)) isHeld = true;
    }
    return isHeld;
  }

  /** The marks of a condemned list. One that is damaged is as if it were empty: nothing is deleted for it. */
  async #read(list: string): Promise<Set<string> | undefined> {
    const found = await this.#bucket.get(CONDEMNED + list, MAX_LIST_BYTES);
    return found === undefined ? undefined : (decodeCondemned(found.bytes) ?? new Set());
  }

  async #sweepDiskMaps(): Promise<void> {
    const keys: string[] = [];
    for await (const { key } of this.#bucket.list(DISK_MAPS)) {
      const digest = key.slice(DISK_MAPS.length).split('/')[0] ?? '';
      if (!this.#marks.digests.has(digest)) keys.push(key);
    }
    await this.#bucket.deleteMany(keys);
  }

  #count(removed: readonly Unneeded[]): void {
    for (const { size } of removed) {
      this.#found.removedObjects++;
      this.#found.removedBytes += size;
    }
  }
}

async function during<T>(step: Step, work: (step: Step) => Promise<T>): Promise<T> {
  try {
    return await work(step);
  } finally {
    step.end();
  }
}
