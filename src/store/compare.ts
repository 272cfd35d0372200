import { decodeBody } from '../image/entry-body.js';
import type { Entry } from '../image/entry.js';
import { manifestFault } from '../image/manifest-fault.js';
import type { IndexedPage } from '../image/packing.js';
import { PackedReader, indexedPages } from '../image/packing.js';
import { comparePaths, pathFault } from '../image/path.js';
import { checkEntryLimits } from '../image/settable-limits.js';
import type { Watch } from '../native.js';
import { comparePages } from '../native.js';
import type { ManifestReader } from './manifest-reader.js';
import { misfit } from './manifest-reader.js';
import { onPages } from './on-pages.js';

/*
 * What differs between two manifests. Pages that are the same in both are neither read nor looked at; the
 * others are compared as bytes, and only entries that differ are decoded.
 */

/** An entry and where it stands in its manifest: the number of its page and its place in that page. */
export interface LocatedEntry {
  entry: Entry;
  page: number;
  index: number;
}

/** A path whose entries differ; a side that has no such entry is left out. */
export interface ManifestDifference {
  path: Buffer;
  have?: LocatedEntry;
  want?: LocatedEntry;
}

/** Pages of both sides that are held at once: enough to keep the native code busy, and little memory. */
const BATCH_BYTES = 2 << 20;
const NO_PAGE = 0xffff_ffff;

/** Pages of both manifests that cover the same paths, by number. */
interface Batch {
  have: number[];
  want: number[];
}

/** Is given the pages of both sides that are compared, which cover the same paths. One call at a time. */
export type LookAtPages = (have: IndexedPage[], want: IndexedPage[]) => Promise<void>;

/**
 * The differences between two manifests, in the order of their paths. Every entry that is handed out has
 * been validated as `decodePage` does; whether all of them are a tree is `TreeValidator`'s to say.
 * Throws `IMAGE_INVALID` when a page that is read is not what its index says.
 */
export async function* compareManifests(
  have: ManifestReader,
  want: ManifestReader,
  watch: Watch,
): AsyncGenerator<ManifestDifference, void, undefined> {
  for await (const packed of comparePacked(have, want, watch)) yield* unpackDifferences(packed, want);
}

/** The same, as many differences at once as were found in pages that both readers still hold. */
export async function* compareInBatches(
  have: ManifestReader,
  want: ManifestReader,
  watch: Watch,
): AsyncGenerator<ManifestDifference[], void, undefined> {
  for await (const batch of compareLazily(have, want, watch)) yield [...batch];
}

/** The same, but each batch is decoded as it is gone through, which is possible once. */
export async function* compareLazily(
  have: ManifestReader,
  want: ManifestReader,
  watch: Watch,
  look?: LookAtPages,
): AsyncGenerator<Iterable<ManifestDifference>, void, undefined> {
  for await (const packed of comparePacked(have, want, watch, look)) yield unpackDifferences(packed, want);
}

/** What native/diff.cc finds in one batch after the other. */
async function* comparePacked(
  have: ManifestReader,
  want: ManifestReader,
  watch: Watch,
  look?: LookAtPages,
): AsyncGenerator<Buffer, void, undefined> {
  const batches = batchesOf(have, want);
  const read = async (): Promise<[IndexedPage[], IndexedPage[]] | undefined> => {
    const batch = batches.next();
    if (batch.done === true) return undefined;
    const pages = await Promise.all([have.pages(batch.value.have), want.pages(batch.value.want)]);
    return [indexedPages(have.index, pages[0]), indexedPages(want.index, pages[1])];
  };
  // While one batch is with the caller, the next one is compared, and the one behind that read.
  let readAhead = read();
  const next = async (): Promise<Buffer | undefined> => {
    const pages = await readAhead;
    if (pages === undefined) return undefined;
    readAhead = read();
    readAhead.catch(() => undefined);
    const [packed] = await Promise.all([onPages(comparePages(...pages, watch)), look?.(...pages)]);
    return packed;
  };
  let ahead = next();
  try {
    for (let packed = await ahead; packed !== undefined; packed = await ahead) {
      ahead = next();
      ahead.catch(() => undefined);
      yield packed;
    }
  } finally {
    await Promise.allSettled([ahead, readAhead]);
  }
}

/** Cuts what has to be compared where a page of each side begins at the same path. */
function* batchesOf(have: ManifestReader, want: ManifestReader): Generator<Batch, void, undefined> {
  let batch: Batch = { have: [], want: [] };
  let bytes = 0;
  for (let i = 0, j = 0; ;) {
    const a = have.index.pages[i];
    const b = want.index.pages[j];
    if (a === undefined && b === undefined) break;
    const order = a === undefined ? 1 : b === undefined ? -1 : comparePaths(a.first, b.first);
    if (order === 0 && bytes >= BATCH_BYTES) {
      yield batch;
      batch = { have: [], want: [] };
      bytes = 0;
    }
    if (order === 0 && a!.digest.equals(b!.digest)) {
      if (a!.entries !== b!.entries || a!.length !== b!.length) throw misfit(b!);
    } else {
      if (order <= 0) batch.have.push(i);
      if (order >= 0) batch.want.push(j);
      bytes += (order <= 0 ? a!.length : 0) + (order >= 0 ? b!.length : 0);
    }
    if (order <= 0) i++;
    if (order >= 0) j++;
  }
  if (bytes > 0) yield batch;
}

/** Decodes what was found. Entries are parts of that, not of pages, which need not be held for them. */
function* unpackDifferences(
  packed: Buffer,
  { limits }: ManifestReader,
): Generator<ManifestDifference, void, undefined> {
  for (const reader = new PackedReader(packed); !reader.done;) {
    const path = reader.bytes();
    const fault = pathFault(path);
    if (fault !== undefined) throw manifestFault(path, fault);
    const [have, want] = [readSide(reader, path), readSide(reader, path)];
    if (want !== undefined) checkEntryLimits(want.entry, limits);
    yield { path, ...(have && { have }), ...(want && { want }) };
  }
}

function readSide(reader: PackedReader, path: Buffer): LocatedEntry | undefined {
  const page = reader.u32();
  if (page === NO_PAGE) return undefined;
  const index = reader.u32();
  return { entry: decodeBody(reader.bytes(), path), page, index };
}
