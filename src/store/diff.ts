import { differencesOf } from '../image/difference.js';
import type { Entry, InodeEntry, LinkEntry } from '../image/entry.js';
import { manifestFault } from '../image/manifest-fault.js';
import { displayPath } from '../image/path.js';
import type { Watch } from '../native.js';
import type { LookAtPages } from './compare.js';
import { compareLazily } from './compare.js';
import type { ManifestReader } from './manifest-reader.js';
import { NewData } from './new-data.js';

/** What is not the same in two images; paths fit to show, in their order. */
export interface ImageDifference {
  added: string[];
  removed: string[];
  /** With what differs (image/difference.ts). A hard link is told of at the first name of its inode. */
  changed: { path: string; what: readonly string[] }[];
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
  const data = new NewData();
  const look: LookAtPages = (have, want) => data.add(have, want, watch);
  const lists = new SharedLists();
  for await (const differences of compareLazily(from, to, watch, look)) {
    for (const { path, have, want } of differences) {
      const shown = displayPath(path);
      if (have === undefined) difference.added.push(shown);
      else if (want === undefined) difference.removed.push(shown);
      else {
        const what =
          isLink(have.entry) || isLink(want.entry)
            ? await compareLinks(have.entry, want.entry, before, after)
            : differencesOf(have.entry, want.entry);
        difference.changed.push({ path: shown, what: lists.shared(what) });
      }
    }
  }
  difference.newBytes = await data.bytesNotIn(from, watch);
  return difference;
}

function isLink(entry: Entry): entry is LinkEntry {
  return entry.type === 'link';
}

async function compareLinks(
  have: Entry,
  want: Entry,
  before: InodeFinder,
  after: InodeFinder,
): Promise<string[]> {
  const what = differencesOf(await before.inodeOf(have), await after.inodeOf(want));
  return what.includes('links') ? what : ['links', ...what];
}

/** Has equal lists be one: most entries differ in the same few ways, and there may be millions. */
class SharedLists {
  readonly #lists = new Map<string, readonly string[]>();

  shared(list: readonly string[]): readonly string[] {
    const key = list.join('\0');
    const known = this.#lists.get(key);
    if (known !== undefined) return known;
    this.#lists.set(key, list);
    return list;
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
