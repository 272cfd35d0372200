import { throwIfAborted } from '../../image/error.js';
import { MAX_INDEX_BYTES, MAX_PAGE_BYTES } from '../../image/limits.js';
import { decodeIndex } from '../../image/manifest.js';
import { decodePage } from '../../image/page.js';
import type { Step } from '../../image/progress.js';
import { markOf } from '../condemned-list.js';
import { LocalImages } from './images.js';
import { LocalObjects } from './objects.js';

/** What the images of a store need, by its marks. It only grows: what was needed once stays marked. */
export class Marks {
  images = 0;
  readonly #images: LocalImages;
  readonly #objects: LocalObjects;
  readonly #signal: AbortSignal | undefined;
  readonly #marks = new Set<string>();
  /** Indexes and pages that have been read, by their digests. */
  readonly #read = new Set<string>();
  #entries = 0;

  constructor(store: string, signal: AbortSignal | undefined) {
    this.#images = new LocalImages(store);
    this.#objects = new LocalObjects(store);
    this.#signal = signal;
  }

  has(mark: string): boolean {
    return this.#marks.has(mark);
  }

  /** Marks what the images need that there are now. Throws `STORE_DAMAGED`. */
  async update(step: Step): Promise<void> {
    const images = await this.#images.list();
    for (const { digest, annotations } of images) {
      for (const annotation of Object.values(annotations))
        this.#marks.add(markOf(Buffer.from(annotation, 'hex')));
      await this.#markImage(Buffer.from(digest, 'hex'), step);
    }
    this.images = images.length;
  }

  async #markImage(index: Buffer, step: Step): Promise<void> {
    if (this.#isRead(index)) return;
    for (const page of decodeIndex(await this.#objects.read(index, MAX_INDEX_BYTES)).pages) {
      throwIfAborted(this.#signal);
      if (this.#isRead(page.digest)) continue;
      for (const entry of decodePage(await this.#objects.read(page.digest, MAX_PAGE_BYTES)))
        if (entry.type === 'file' && entry.digest !== null) this.#marks.add(markOf(entry.digest));
      step.update((this.#entries += page.entries));
    }
  }

  /** Marks an index or a page; whether it was before. */
  #isRead(digest: Buffer): boolean {
    const key = digest.toString('latin1');
    if (this.#read.has(key)) return true;
    this.#read.add(key);
    this.#marks.add(markOf(digest));
    return false;
  }
}
