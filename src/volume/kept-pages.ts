import type { WholePage } from '../image/manifest.js';
import { indexedPages, PackedReader } from '../image/packing.js';
import type { Watch } from '../native.js';
import { matchScan } from '../native.js';
import { onPages } from '../store/on-pages.js';
import type { KnownTree } from './known-tree.js';

/** A page of a known tree whose entries are all as they were. */
export interface KeptPage {
  number: number;
  page: WholePage;
  /** How many inodes it has. */
  inodes: number;
  /** Where the records of its entries are in the scan. */
  start: number;
  end: number;
}

/**
 * The pages of a known tree of which all is as it was by a scan without detail, in order: behind each comes in the scan
 * what came behind it in the tree. Throws `IMAGE_INVALID` when a page is not as its index says.
 */
export async function keptPages(scan: Buffer, known: KnownTree, watch: Watch): Promise<KeptPage[]> {
  const { index } = known.manifest;
  const numbers = [...index.pages.keys()];
  const pages = await known.manifest.pages(numbers);
  const tables: Buffer[] = [];
  for (const number of numbers) tables.push(await known.table(number));
  const matches = new PackedReader(await onPages(matchScan(scan, indexedPages(index, pages), tables, watch)));
  const kept: KeptPage[] = [];
  for (const number of numbers) {
    const isWhole = matches.u8() === 1;
    const inodes = matches.u32();
    const [start, end, fileBytes, blocks] = [matches.u64(), matches.u64(), matches.u64(), matches.u64()];
    if (!isWhole) continue;
    const reference = index.pages[number]!;
    const page = { digest: reference.digest, bytes: pages.get(number)!, reference, fileBytes, blocks };
    kept.push({ number, page, inodes, start: Number(start), end: Number(end) });
  }
  return kept;
}
