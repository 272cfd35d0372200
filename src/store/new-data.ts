import type { IndexedPage } from '../image/packing.js';
import { indexedPages } from '../image/packing.js';
import type { Watch } from '../native.js';
import { NewDataCount } from '../native.js';
import type { ManifestReader } from './manifest-reader.js';
import { onPages } from './on-pages.js';

/** Pages that are looked through together: some 8 MiB. */
const PAGES_AT_ONCE = 64;

/** Finds out how much file data an image has that another one has nowhere; the same data counts once. */
export class NewData {
  readonly #count = new NewDataCount();
  readonly #compared = new Set<number>();

  /** Takes in pages of both images that cover the same paths, as they are compared. Throws `IMAGE_INVALID`. */
  async add(have: IndexedPage[], want: IndexedPage[], watch: Watch): Promise<void> {
    for (const [number] of have) this.#compared.add(number);
    await onPages(this.#count.add(have, want, watch));
  }

  /**
   * How many bytes it is, once all pages that differ have been taken in; `image` is the one that was there before. Throws
   * `IMAGE_INVALID`, `STORE_DAMAGED`.
   */
  async bytesNotIn(image: ManifestReader, watch: Watch): Promise<bigint> {
    const packed = await this.#count.end(watch);
    if (packed === undefined) return 0n;
    for (let at = 0; at < packed.length; at += 4) this.#compared.delete(packed.readUInt32LE(at));
    const numbers = [...image.index.pages.keys()].filter(number => !this.#compared.has(number));
    const read = async (start: number): Promise<IndexedPage[]> =>
      indexedPages(image.index, await image.pages(numbers.slice(start, start + PAGES_AT_ONCE)));
    let ahead = read(0);
    for (let start = 0; start < numbers.length; start += PAGES_AT_ONCE) {
      const pages = await ahead;
      // While these are looked through the next ones are read.
      ahead = read(start + PAGES_AT_ONCE);
      ahead.catch(() => undefined);
      await onPages(this.#count.lookIn(pages, watch));
    }
    const bytes = this.#count.bytes();
    return bytes.readBigUInt64LE(0) + (bytes.readBigUInt64LE(8) << 64n);
  }
}
