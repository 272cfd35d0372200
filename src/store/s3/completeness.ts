import { sha512 } from '../../image/digest.js';
import { MAX_INDEX_BYTES, MAX_PAGE_BYTES } from '../../image/limits.js';
import { decodeIndex } from '../../image/manifest.js';
import { decodePage } from '../../image/page.js';
import { isDamage } from '../damage.js';
import { inParallel } from '../../image/in-parallel.js';
import type { ImageRecord } from '../store.js';
import type { Bucket } from './bucket.js';
import { isRefusal } from './failure.js';
import { COMPLETE } from './layout.js';
import type { S3Objects } from './objects.js';

/** Pages that are read together. */
const PAGES_AT_ONCE = 64;
const IMAGES_AT_ONCE = 4;

/**
 * Whether all objects of images are in this bucket: S3's replication brings records and objects in any order. What was
 * found to be whole is noted in the bucket, for this bucket, so that it is looked for once.
 */
export class Completeness {
  readonly #bucket: Bucket;
  readonly #objects: S3Objects;
  readonly #complete = new Set<string>();

  constructor(bucket: Bucket, objects: S3Objects) {
    this.#bucket = bucket;
    this.#objects = objects;
  }

  /** Notes that all of an image is there. */
  async note(record: ImageRecord): Promise<void> {
    const digest = markOf(record);
    await this.#bucket.put(this.#keyOf(digest), '1');
    this.#complete.add(digest);
  }

  /** Those of the images that are whole, in their order. */
  async filter(records: readonly ImageRecord[]): Promise<ImageRecord[]> {
    const unknown = records.some(record => !this.#complete.has(markOf(record)));
    if (unknown && records.length > 1) await this.#readNotes();
    const whole = await inParallel(records, IMAGES_AT_ONCE, record => this.isWhole(record));
    return records.filter((_, at) => whole[at]);
  }

  /** Whether an image is whole. */
  async isWhole(record: ImageRecord): Promise<boolean> {
    const digest = markOf(record);
    if (this.#complete.has(digest)) return true;
    const isNoted = (await this.#bucket.head(this.#keyOf(digest))) !== undefined;
    if (!isNoted) {
      if (!(await this.#allThere(record))) return false;
      await this.note(record).catch((reason: unknown) => {
        // Who may only read looks again the next time.
        if (!isRefusal(reason)) throw reason;
      });
    }
    this.#complete.add(digest);
    return true;
  }

  /** Takes back what was noted of all images but those with these digests: their objects are about to go. */
  async forgetAllBut(digests: ReadonlySet<string>): Promise<void> {
    const below = this.#keyOf('');
    const keys: string[] = [];
    for await (const { key } of this.#bucket.list(below)) {
      const digest = key.slice(below.length).split('-')[0] ?? '';
      if (!digests.has(digest)) keys.push(key);
    }
    await this.#bucket.deleteMany(keys);
  }

  async #readNotes(): Promise<void> {
    const below = this.#keyOf('');
    for await (const { key } of this.#bucket.list(below)) this.#complete.add(key.slice(below.length));
  }

  async #allThere({ digest, annotations }: ImageRecord): Promise<boolean> {
    try {
      const [index] = await this.#objects.readMany([Buffer.from(digest, 'hex')], MAX_INDEX_BYTES);
      const pages = decodeIndex(index!).pages.map(page => page.digest);
      const needed = new Map<string, Buffer>();
      for (const each of Object.values(annotations)) needed.set(each, Buffer.from(each, 'hex'));
      for (let at = 0; at < pages.length; at += PAGES_AT_ONCE) {
        for (const page of await this.#objects.readMany(
          pages.slice(at, at + PAGES_AT_ONCE),
          MAX_PAGE_BYTES,
        )) {
          for (const entry of decodePage(page)) {
            if (entry.type !== 'file' || entry.digest === null) continue;
            const key = entry.digest.toString('hex');
            // A copy: the digest would keep its whole page.
            if (!needed.has(key)) needed.set(key, Buffer.from(entry.digest));
          }
        }
      }
      return (await this.#objects.sizes([...needed.values()])).every(size => size !== undefined);
    } catch (reason) {
      if (isDamage(reason)) return false;
      throw reason;
    }
  }

  #keyOf(digest: string): string {
    return `${COMPLETE}${this.#bucket.name}/${digest}`;
  }
}

/** Annotations are not part of the digest, so they are part of what is noted. */
function markOf({ digest, annotations }: ImageRecord): string {
  const others = Object.values(annotations).sort();
  return others.length === 0
    ? digest
    : `${digest}-${sha512(Buffer.from(others.join())).toString('hex', 0, 16)}`;
}
