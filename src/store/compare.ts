import { ByteReader } from '../image/encoding.js';
import type { Entry } from '../image/entry.js';
import { ImageUnpackerError } from '../image/error.js';
import { MAX_PAGE_BYTES } from '../image/limits.js';
import { PackedReader, packPages } from '../image/packing.js';
import { decodeBody } from '../image/page.js';
import { comparePaths, displayPath, MAX_PATH_BYTES, pathFault } from '../image/path.js';
import type { Watch } from '../native.js';
import { comparePages, isNativeError } from '../native.js';
import type { ManifestReader } from './manifest-reader.js';

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
const BATCH_BYTES = 8 << 20;
/** The head of a page: its magic. */
const PAGE_HEAD_BYTES = 8;
const NO_PAGE = 0xffff_ffff;

/** Pages of both manifests that cover the same paths, by number. */
interface Batch {
  have: number[];
  want: number[];
}

type Pages = ReadonlyMap<number, Buffer>;

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
  for (const batch of batchesOf(have, want)) {
    const havePages = await readPages(have, batch.have);
    const wantPages = await readPages(want, batch.want);
    const packed = await comparePacked(packPages(havePages), packPages(wantPages), watch);
    const reader = new PackedReader(packed);
    while (!reader.done) {
      const path = Buffer.from(reader.bytes());
      const before = readLocated(reader, path, have, havePages);
      const after = readLocated(reader, path, want, wantPages);
      yield { path, ...(before && { have: before }), ...(after && { want: after }) };
    }
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
    if (order !== 0 || !a!.digest.equals(b!.digest)) {
      if (order <= 0) batch.have.push(i);
      if (order >= 0) batch.want.push(j);
      bytes += (order <= 0 ? a!.length : 0) + (order >= 0 ? b!.length : 0);
    }
    if (order <= 0) i++;
    if (order >= 0) j++;
  }
  if (bytes > 0) yield batch;
}

async function readPages(reader: ManifestReader, numbers: readonly number[]): Promise<Pages> {
  const pages = await Promise.all(numbers.map(number => reader.page(number)));
  return new Map(
    pages.map((page, at) => {
      const number = numbers[at]!;
      if (!firstPathOf(page).equals(reader.index.pages[number]!.first)) throw misplaced(reader, number);
      return [number, page];
    }),
  );
}

/** The path of a page's first entry (the grammar stands in image/page.ts). */
function firstPathOf(page: Buffer): Buffer {
  const reader = new ByteReader(page, Math.min(PAGE_HEAD_BYTES, page.length));
  reader.varint(MAX_PAGE_BYTES);
  reader.varint(0);
  return reader.bytes(MAX_PATH_BYTES);
}

async function comparePacked(have: Buffer, want: Buffer, watch: Watch): Promise<Buffer> {
  try {
    return await comparePages(have, want, watch);
  } catch (reason) {
    if (!isNativeError(reason) || reason.code !== 'EBADMSG') throw reason;
    const after = reason.path === undefined ? '' : ` after ${displayPath(reason.path)}`;
    throw new ImageUnpackerError('IMAGE_INVALID', `A page of the manifest is not valid${after}`, {}, reason);
  }
}

function readLocated(
  reader: PackedReader,
  path: Buffer,
  manifest: ManifestReader,
  pages: Pages,
): LocatedEntry | undefined {
  const page = reader.u32();
  const index = reader.u32();
  const offset = reader.u32();
  if (page === NO_PAGE) return undefined;
  const fault = pathFault(path);
  if (fault !== undefined) {
    const shown = displayPath(path);
    throw new ImageUnpackerError('IMAGE_INVALID', `The manifest is not valid: ${shown} ${fault}`, {
      path: shown,
    });
  }
  const next = manifest.index.pages[page + 1];
  if (next !== undefined && comparePaths(path, next.first) >= 0) throw misplaced(manifest, page);
  return { entry: decodeBody(new ByteReader(pages.get(page)!, offset), path), page, index };
}

function misplaced(manifest: ManifestReader, number: number): ImageUnpackerError {
  const page = manifest.index.pages[number]!;
  const path = displayPath(page.first);
  const message = `The manifest's page that begins at ${path} is not as its index says`;
  return new ImageUnpackerError('IMAGE_INVALID', message, { path, digest: page.digest.toString('hex') });
}
