import { DIGEST_BYTES } from '../image/digest.js';
import { differencesOf } from '../image/difference.js';
import type { Entry, FileEntry, InodeEntry } from '../image/entry.js';
import { dataSizeOf } from '../image/entry.js';
import { manifestFault } from '../image/manifest-fault.js';
import { displayPath } from '../image/path.js';
import { indexedPages } from '../image/packing.js';
import type { Watch } from '../native.js';
import { findDigests } from '../native.js';
import { compareManifests } from './compare.js';
import type { ManifestReader } from './manifest-reader.js';
import { onPages } from './on-pages.js';

/** Pages that are looked through together: some 8 MiB. */
const PAGES_AT_ONCE = 128;

/** What is not the same in two images; paths fit to show, in their order. */
export interface ImageDifference {
  added: string[];
  removed: string[];
  /** With what differs (image/difference.ts). A hard link is told of at the first name of its inode. */
  changed: { path: string; what: string[] }[];
  /** Bytes of file data that the second image has and the first has not. */
  newBytes: bigint;
}

/** Compares two images, reading only the pages of their manifests that differ. Throws `STORE_DAMAGED`. */
export async function diffManifests(
  from: ManifestReader,
  to: ManifestReader,
  watch: Watch,
): Promise<ImageDifference> {
  const difference: ImageDifference = { added: [], removed: [], changed: [], newBytes: 0n };
  const before = new InodeFinder(from);
  const after = new InodeFinder(to);
  const wanted = new Map<string, bigint>();
  for await (const { path, have, want } of compareManifests(from, to, watch)) {
    const shown = displayPath(path);
    if (want?.entry.type === 'file') addData(want.entry, wanted);
    if (have === undefined) difference.added.push(shown);
    else if (want === undefined) difference.removed.push(shown);
    else difference.changed.push({ path: shown, what: await compare(have.entry, want.entry, before, after) });
  }
  if (wanted.size > 0) await removeKnown(from, wanted, watch);
  for (const size of wanted.values()) difference.newBytes += size;
  return difference;
}

async function compare(have: Entry, want: Entry, before: InodeFinder, after: InodeFinder): Promise<string[]> {
  if (have.type !== 'link' && want.type !== 'link') return differencesOf(have, want);
  const what = differencesOf(await before.inodeOf(have), await after.inodeOf(want));
  return what.includes('links') ? what : ['links', ...what];
}

function addData({ digest, size, holes }: FileEntry, objects: Map<string, bigint>): void {
  if (digest !== null) objects.set(digest.toString('latin1'), dataSizeOf(size, holes));
}

/** Takes out of `objects` what the image has anywhere: content may only have moved. */
async function removeKnown(image: ManifestReader, objects: Map<string, bigint>, watch: Watch): Promise<void> {
  const keys = [...objects.keys()].sort();
  const digests = Buffer.allocUnsafe(keys.length * DIGEST_BYTES);
  for (const [at, key] of keys.entries()) digests.write(key, at * DIGEST_BYTES, 'latin1');
  const { pages } = image.index;
  for (let start = 0; start < pages.length; start += PAGES_AT_ONCE) {
    const count = Math.min(PAGES_AT_ONCE, pages.length - start);
    const some = await image.pages(Array.from({ length: count }, (_, at) => start + at));
    const found = await onPages(findDigests(indexedPages(image.index, some), digests, watch));
    for (let at = found.indexOf(1); at >= 0; at = found.indexOf(1, at + 1)) objects.delete(keys[at]!);
  }
}

/** Finds the inodes that hard links are names of; looks at one page after the other, mostly the same. */
class InodeFinder {
  readonly #reader: ManifestReader;
  #page = -1;
  #entries: Entry[] = [];

  constructor(reader: ManifestReader) {
    this.#reader = reader;
  }

  async inodeOf(entry: Entry): Promise<InodeEntry> {
    if (entry.type !== 'link') return entry;
    const page = this.#reader.pageOf(entry.target);
    if (page !== this.#page) this.#entries = await this.#reader.entriesOf(page);
    this.#page = page;
    const found = this.#entries.find(({ path }) => path.equals(entry.target));
    if (found !== undefined && found.type !== 'link') return found;
    throw manifestFault(entry.path, `is a hard link to ${displayPath(entry.target)}, which is no inode`);
  }
}
