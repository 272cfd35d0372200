import { throwIfAborted } from '../../image/error.js';
import { MAX_INDEX_BYTES, MAX_PAGE_BYTES } from '../../image/limits.js';
import { decodeIndex } from '../../image/manifest.js';
import { decodePage } from '../../image/page.js';
import type { Step } from '../../image/progress.js';
import { markOf } from '../condemned-list.js';
import type { Bucket } from './bucket.js';
import type { S3Objects } from './objects.js';
import { S3Records } from './records.js';

const PAGES_AT_ONCE = 64;

/** What the images of a store need, by its marks. It only grows: what was needed once stays marked. */
export class Marks {
  /** The digests of the images that there are, in hex. */
  digests: ReadonlySet<string> = new Set();
  images = 0;
  readonly #records: S3Records;
  readonly #objects: S3Objects;
  readonly #signal: AbortSignal | undefined;
  readonly #marks = new Set<string>();
  readonly #done = new Set<string>();
  #entries = 0;

  constructor(bucket: Bucket, objects: S3Objects, signal: AbortSignal | undefined) {
    this.#records = new S3Records(bucket);
    this.#objects = objects;
    this.#signal = signal;
  }

  has(mark: string): boolean {
    return this.#marks.has(mark);
  }

  /** Marks what the images need that there are now. Throws `STORE_DAMAGED` when that cannot be known. */
  async update(step: Step): Promise<void> {
    const records = await this.#records.list();
    this.images = records.length;
    this.digests = new Set(records.map(({ digest }) => digest));
    for (const { digest, annotations } of records) {
      for (const annotation of Object.values(annotations))
        this.#marks.add(markOf(Buffer.from(annotation, 'hex')));
      if (!this.#done.has(digest)) await this.#markImage(Buffer.from(digest, 'hex'), step);
      this.#done.add(digest);
    }
  }

  async #markImage(digest: Buffer, step: Step): Promise<void> {
    this.#marks.add(markOf(digest));
    const [index] = await this.#objects.readMany([digest], MAX_INDEX_BYTES);
    const pages = decodeIndex(index!).pages.filter(page => !this.#done.has(page.digest.toString('latin1')));
    for (let at = 0; at < pages.length; at += PAGES_AT_ONCE) {
      throwIfAborted(this.#signal);
      const some = pages.slice(at, at + PAGES_AT_ONCE);
      const read = await this.#objects.readMany(
        some.map(page => page.digest),
        MAX_PAGE_BYTES,
      );
      for (const [number, page] of some.entries()) {
        this.#marks.add(markOf(page.digest));
        for (const entry of decodePage(read[number]!)) {
          if (entry.type === 'file' && entry.digest !== null) this.#marks.add(markOf(entry.digest));
        }
        this.#done.add(page.digest.toString('latin1'));
        step.update((this.#entries += page.entries));
      }
    }
  }
}
