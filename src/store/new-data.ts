import { DIGEST_BYTES } from '../image/digest.js';
import { indexedPages } from '../image/packing.js';
import type { Watch } from '../native.js';
import { findDigests } from '../native.js';
import type { ManifestReader } from './manifest-reader.js';
import { onPages } from './on-pages.js';

/** Pages that are looked through together: some 8 MiB. */
const PAGES_AT_ONCE = 64;
/** Data that is kept in one piece: some MiB. */
const PIECE = 16_384;
/** More than an image can have entries; the place of one and the first 27 bits of a digest make one exact number. */
const PLACES = 2 ** 26;
const PREFIX_SHIFT = 5;

/** Data of files by digest, packed: there may be millions. */
export class DataList {
  readonly #digests: Buffer[] = [];
  readonly #sizes: BigUint64Array[] = [];
  #count = 0;

  add(digest: Buffer, size: bigint): void {
    const at = this.#count++ % PIECE;
    if (at === 0) {
      this.#digests.push(Buffer.allocUnsafe(PIECE * DIGEST_BYTES));
      this.#sizes.push(new BigUint64Array(PIECE));
    }
    digest.copy(this.#digests.at(-1)!, at * DIGEST_BYTES);
    this.#sizes.at(-1)![at] = size;
  }

  /** How many bytes of it an image has nowhere; the same data counts once. Throws `IMAGE_INVALID`, `STORE_DAMAGED`. */
  async bytesNotIn(image: ManifestReader, watch: Watch): Promise<bigint> {
    if (this.#count === 0) return 0n;
    const places = this.#distinct();
    const digests = Buffer.allocUnsafe(places.length * DIGEST_BYTES);
    places.forEach((place, at) => this.#digestAt(place).copy(digests, at * DIGEST_BYTES));
    const isKnown = new Uint8Array(places.length);
    const { pages } = image.index;
    for (let start = 0; start < pages.length; start += PAGES_AT_ONCE) {
      const count = Math.min(PAGES_AT_ONCE, pages.length - start);
      const some = await image.pages(Array.from({ length: count }, (_, at) => start + at));
      const found = await onPages(findDigests(indexedPages(image.index, some), digests, watch));
      for (let at = found.indexOf(1); at >= 0; at = found.indexOf(1, at + 1)) isKnown[at] = 1;
    }
    return places.reduce((bytes, place, at) => (isKnown[at] === 1 ? bytes : bytes + this.#sizeAt(place)), 0n);
  }

  /** Where each of the digests is first, in the order of the digests. */
  #distinct(): Uint32Array {
    const keys = new Float64Array(this.#count);
    for (let place = 0; place < keys.length; place++) {
      keys[place] = (this.#digestAt(place).readUInt32BE() >>> PREFIX_SHIFT) * PLACES + place;
    }
    // Numbers are sorted natively. Digests that begin alike are few, but for those that somebody has made up.
    const places = Uint32Array.from(keys.sort(), key => key % PLACES);
    const prefixOf = (at: number): number => Math.floor(keys[at]! / PLACES);
    let kept = 0;
    for (let start = 0, end = 1; start < places.length; start = end++) {
      while (end < places.length && prefixOf(end) === prefixOf(start)) end++;
      const alike = places.subarray(start, end);
      if (alike.length > 1) alike.sort((a, b) => this.#compare(a, b));
      for (const place of alike) {
        if (kept === 0 || this.#compare(places[kept - 1]!, place) !== 0) places[kept++] = place;
      }
    }
    return places.subarray(0, kept);
  }

  #compare(a: number, b: number): number {
    return Buffer.compare(this.#digestAt(a), this.#digestAt(b));
  }

  #digestAt(place: number): Buffer {
    const at = (place % PIECE) * DIGEST_BYTES;
    return this.#digests[Math.floor(place / PIECE)]!.subarray(at, at + DIGEST_BYTES);
  }

  #sizeAt(place: number): bigint {
    return this.#sizes[Math.floor(place / PIECE)]![place % PIECE]!;
  }
}
