import { indexedPages } from '../image/packing.js';
import type { Watch } from '../native.js';
import { matchPages } from '../native.js';
import type { ManifestReader } from '../store/manifest-reader.js';
import { onPages } from '../store/on-pages.js';
import { findPlaces } from '../store/find-entries.js';
import type { InodeRow, KnownTree } from './known-tree.js';
import { ROW_BYTES, writeRow } from './known-tree.js';
import type { PageToRemember, TreeToRemember } from './remember.js';

const NONE = 0xffff_ffff;
const ORIGIN_BYTES = 8;

/** A volume that has become another tree. */
export interface TreeChange {
  have: KnownTree;
  /** Whether `have` is stored in the record in which the new tree will be. */
  stored: boolean;
  want: ManifestReader;
  wantDigest: Buffer;
  wantIndexBytes: Buffer;
  /** Paths of what is touched, in order. */
  touched: readonly Buffer[];
}

/** Makes the tree of the inodes that are there once all is done, in the order of `touched`. */
export type FinishTree = (rows: readonly InodeRow[]) => TreeToRemember;

/**
 * What is known of the tree that a volume becomes: what is not touched stays where it is. All but the inodes that are touched can
 * be made out before they are.
 */
export async function nextTree(change: TreeChange, watch: Watch): Promise<FinishTree> {
  const { have, want } = change;
  const known = new Map(
    have.manifest.index.pages.map(({ digest }, number) => [digest.toString('hex'), number]),
  );
  const origins = want.index.pages.map(({ digest }) => known.get(digest.toString('hex')));
  const tables = await newTables(have, want, origins, watch);
  const places = await findPlaces(want, change.touched, watch);
  for (const place of places) {
    if (place === undefined || tables.has(place.page)) continue;
    tables.set(place.page, Buffer.from(await have.table(origins[place.page]!)));
  }
  const pages: PageToRemember[] = [];
  for (const [number, { length }] of want.index.pages.entries()) {
    const origin = origins[number];
    const table = tables.get(number);
    if (origin !== undefined && change.stored) pages.push({ stored: origin, length, table });
    else if (origin !== undefined) {
      pages.push({ page: await have.manifest.page(origin), table: table ?? (await have.table(origin)) });
    } else pages.push({ page: await want.page(number), table: table! });
  }
  return rows => {
    for (const [at, place] of places.entries()) {
      if (place !== undefined) writeRow(tables.get(place.page)!, place.index, rows[at]!);
    }
    return { indexBytes: change.wantIndexBytes, digest: change.wantDigest, pages };
  };
}

/** Inode tables of the wanted pages that are not there as they are: rows by path. */
async function newTables(
  have: KnownTree,
  want: ManifestReader,
  origins: readonly (number | undefined)[],
  watch: Watch,
): Promise<Map<number, Buffer>> {
  const used = new Set(origins);
  const mine = await pagesWhere(have.manifest, number => !used.has(number));
  const theirs = await pagesWhere(want, number => origins[number] === undefined);
  const [before, after] = [indexedPages(have.manifest.index, mine), indexedPages(want.index, theirs)];
  const matches = await onPages(matchPages(before, after, watch));
  const known = new Map<number, Buffer>();
  for (const number of mine.keys()) known.set(number, await have.table(number));
  const tables = new Map<number, Buffer>();
  let at = 0;
  for (const number of theirs.keys()) {
    const { entries } = want.index.pages[number]!;
    const table = Buffer.alloc(entries * ROW_BYTES);
    for (let index = 0; index < entries; index++, at += ORIGIN_BYTES) {
      const page = matches.readUInt32LE(at);
      if (page === NONE) continue;
      const from = matches.readUInt32LE(at + 4) * ROW_BYTES;
      known.get(page)!.copy(table, index * ROW_BYTES, from, from + ROW_BYTES);
    }
    tables.set(number, table);
  }
  return tables;
}

async function pagesWhere(
  manifest: ManifestReader,
  chosen: (number: number) => boolean,
): Promise<Map<number, Buffer>> {
  const pages = new Map<number, Buffer>();
  for (let number = 0; number < manifest.index.pages.length; number++) {
    if (chosen(number)) pages.set(number, await manifest.page(number));
  }
  return pages;
}
