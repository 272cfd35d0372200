import { decodeBody } from '../image/entry-body.js';
import type { Entry } from '../image/entry.js';
import { indexedPages, packPaths } from '../image/packing.js';
import { isBelow } from '../image/path.js';
import type { Watch } from '../native.js';
import { findBelow, findPaths } from '../native.js';
import type { ManifestReader } from './manifest-reader.js';
import { onPages } from './on-pages.js';

const NO_PAGE = 0xffff_ffff;
const PLACE_BYTES = 16;

/** Where an entry is: its page, its number in the page, and where in the page its body begins and ends. */
export interface Place {
  page: number;
  index: number;
  start: number;
  end: number;
}

/** Where the entries of some paths are, which ascend; undefined for those that the manifest has not. */
export async function findPlaces(
  manifest: ManifestReader,
  paths: readonly Buffer[],
  watch: Watch,
): Promise<(Place | undefined)[]> {
  return placesIn(manifest, await pagesOf(manifest, paths), paths, watch);
}

/** The entries of some paths, which ascend; undefined for those that the manifest has not. */
export async function findEntries(
  manifest: ManifestReader,
  paths: readonly Buffer[],
  watch: Watch,
): Promise<(Entry | undefined)[]> {
  const pages = await pagesOf(manifest, paths);
  const places = await placesIn(manifest, pages, paths, watch);
  return paths.map((path, at) => {
    const place = places[at];
    return place && decodeBody(pages.get(place.page)!.subarray(place.start, place.end), path);
  });
}

/** Those of some paths, which ascend, below which the manifest has entries. */
export async function findOccupied(
  manifest: ManifestReader,
  paths: readonly Buffer[],
  watch: Watch,
): Promise<Buffer[]> {
  const numbers = paths.flatMap(path => {
    const number = manifest.pageOf(path);
    const next = manifest.index.pages[number + 1];
    return next !== undefined && isBelow(next.first, path) ? [number, number + 1] : [number];
  });
  const pages = indexedPages(manifest.index, await manifest.pages(numbers));
  const found = await onPages(findBelow(pages, packPaths(paths), watch));
  return paths.filter((_, at) => found[at] !== 0);
}

function pagesOf(manifest: ManifestReader, paths: readonly Buffer[]): Promise<Map<number, Buffer>> {
  return manifest.pages(paths.map(path => manifest.pageOf(path)));
}

async function placesIn(
  { index: references }: ManifestReader,
  pages: ReadonlyMap<number, Buffer>,
  paths: readonly Buffer[],
  watch: Watch,
): Promise<(Place | undefined)[]> {
  const places = await onPages(findPaths(indexedPages(references, pages), packPaths(paths), watch));
  return paths.map((_, at) => {
    const page = places.readUInt32LE(at * PLACE_BYTES);
    if (page === NO_PAGE) return undefined;
    const index = places.readUInt32LE(at * PLACE_BYTES + 4);
    const start = places.readUInt32LE(at * PLACE_BYTES + 8);
    return { page, index, start, end: start + places.readUInt32LE(at * PLACE_BYTES + 12) };
  });
}
