import type { Entry } from '../image/entry.js';
import { ImageUnpackerError } from '../image/error.js';
import { MAX_INDEX_BYTES, MAX_PAGE_BYTES } from '../image/limits.js';
import type { ManifestIndex, PageReference } from '../image/manifest.js';
import { decodeIndex } from '../image/manifest.js';
import { decodePage } from '../image/page.js';
import { comparePaths, displayPath } from '../image/path.js';
import type { Limits } from '../image/settable-limits.js';
import { checkEntryCount, checkEntryLimits, FORMAT_LIMITS } from '../image/settable-limits.js';
import { TreeValidator } from '../image/validate.js';
import type { Store } from './store.js';

/** Where pages of a manifest come from: a store, or what is known of a volume. */
export interface PageSource {
  /** The bytes of the pages with these numbers, whose digests are right. */
  pages(numbers: readonly number[]): Promise<Buffer[]>;
}

/** So much of a manifest is kept in memory, since most pages are needed several times: some 140,000 entries. */
const HELD_BYTES = 16 << 20;

/** A manifest whose pages are read as they are needed. */
export class ManifestReader {
  readonly index: ManifestIndex;
  readonly limits: Limits;
  readonly #source: PageSource;
  readonly #held = new Map<number, Buffer>();
  #heldBytes = 0;

  /** Throws `LIMIT_EXCEEDED` if it has more entries than `limits` allow, and so does whatever reads an entry of it. */
  constructor(index: ManifestIndex, source: PageSource, limits: Limits = FORMAT_LIMITS) {
    checkEntryCount('The image', index.entries, limits);
    this.index = index;
    this.limits = limits;
    this.#source = source;
  }

  /** Reads the index of the manifest with this digest. Throws `STORE_DAMAGED`, `IMAGE_INVALID`, `LIMIT_EXCEEDED`. */
  static async open(store: Store, digest: Buffer): Promise<ManifestReader> {
    const index = decodeIndex(await store.read(digest, MAX_INDEX_BYTES));
    return new ManifestReader(index, pagesIn(store, index), store.limits);
  }

  /** The encoded page `number`. */
  async page(number: number): Promise<Buffer> {
    return (await this.pages([number])).get(number)!;
  }

  /** The encoded pages with these numbers, in that order, each of them once. */
  async pages(numbers: readonly number[]): Promise<Map<number, Buffer>> {
    const pages = new Map(numbers.map(number => [number, this.#held.get(number)]));
    const missing = [...pages.keys()].filter(number => pages.get(number) === undefined);
    const read = missing.length === 0 ? [] : await this.#source.pages(missing);
    for (const [at, number] of missing.entries()) {
      const [bytes, reference] = [read[at]!, this.index.pages[number]!];
      if (bytes.length !== reference.length) throw misfit(reference);
      pages.set(number, bytes);
      this.#hold(number, bytes);
    }
    return pages as Map<number, Buffer>;
  }

  /** The entries of page `number`, which agree with what the index says of the page. */
  async entriesOf(number: number): Promise<Entry[]> {
    const entries = decodePage(await this.page(number));
    const reference = this.index.pages[number]!;
    const next = this.index.pages[number + 1];
    const fits =
      entries.length === reference.entries &&
      entries[0]!.path.equals(reference.first) &&
      (next === undefined || comparePaths(entries.at(-1)!.path, next.first) < 0);
    if (!fits) throw misfit(reference);
    for (const entry of entries) checkEntryLimits(entry, this.limits);
    return entries;
  }

  /** All entries in order. Throws `IMAGE_INVALID` unless they are a tree. */
  async *entries(): AsyncGenerator<Entry, void, undefined> {
    const validator = new TreeValidator();
    for (let number = 0; number < this.index.pages.length; number++) {
      for (const entry of await this.entriesOf(number)) {
        validator.add(entry);
        yield entry;
      }
    }
    validator.finish(this.index);
  }

  /** The number of the page that holds `path`, if the image has it. */
  pageOf(path: Buffer): number {
    const { pages } = this.index;
    let low = 0;
    let high = pages.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (comparePaths(pages[middle]!.first, path) <= 0) low = middle;
      else high = middle;
    }
    return low;
  }

  /** Keeps a page, and lets go of those that were read first when they are too many. */
  #hold(number: number, bytes: Buffer): void {
    if (this.#held.has(number)) return;
    this.#held.set(number, bytes);
    this.#heldBytes += bytes.length;
    for (const [first, page] of this.#held) {
      if (this.#heldBytes <= HELD_BYTES) return;
      this.#held.delete(first);
      this.#heldBytes -= page.length;
    }
  }
}

/** Where the pages of an image's manifest are. */
export function pagesIn(store: Store, { pages }: ManifestIndex): PageSource {
  const digestOf = (number: number): Buffer => pages[number]!.digest;
  return { pages: numbers => store.readMany(numbers.map(digestOf), MAX_PAGE_BYTES) };
}

/** The error of a page that is not what its index says. */
export function misfit(page: PageReference): ImageUnpackerError {
  const at = displayPath(page.first);
  return new ImageUnpackerError(
    'IMAGE_INVALID',
    `The manifest's page that begins at ${at} is not as its index says`,
    {
      path: at,
      digest: page.digest.toString('hex'),
    },
  );
}
