import type { Entry } from '../image/entry.js';
import { sha512 } from '../image/digest.js';
import type { ManifestIndex, PageReference } from '../image/manifest.js';
import { dataBlocksOf, encodeIndex } from '../image/manifest.js';
import { PageWriter } from '../image/page.js';
import { comparePaths } from '../image/path.js';
import { ManifestReader } from '../store/manifest-reader.js';

/** A tree, its index read. */
export interface WantedTree {
  manifest: ManifestReader;
  indexBytes: Buffer;
  digest: Buffer;
}

/**
 * A tree with some entries added, or put in place of others of their paths; `entries` are in order. Pages that
 * none of them falls into stay as they are, and no page is cut anew.
 */
export async function overlayTree(tree: WantedTree, entries: readonly Entry[]): Promise<WantedTree> {
  if (entries.length === 0) return tree;
  const { manifest } = tree;
  const byPage = new Map<number, Entry[]>();
  for (const entry of entries) {
    const number = manifest.pageOf(entry.path);
    byPage.set(number, [...(byPage.get(number) ?? []), entry]);
  }
  const pages = new Map<number, Buffer>();
  const references: PageReference[] = [...manifest.index.pages];
  const total = {
    entries: manifest.index.entries,
    bytes: manifest.index.bytes,
    blocks: manifest.index.blocks,
  };
  for (const [number, added] of byPage) {
    const before = await manifest.entriesOf(number);
    const after = merge(before, added);
    const writer = new PageWriter();
    for (const entry of after) writer.add(entry);
    const { count, length } = writer;
    const bytes = writer.take();
    pages.set(number, bytes);
    references[number] = { digest: sha512(bytes), entries: count, length, first: after[0]!.path };
    addUp(total, before, -1n);
    addUp(total, after, 1n);
  }
  const index: ManifestIndex = { ...total, pages: references };
  const indexBytes = encodeIndex(index);
  const source = {
    pages: async (numbers: readonly number[]): Promise<Buffer[]> => {
      const kept = await manifest.pages(numbers.filter(number => !pages.has(number)));
      return numbers.map(number => pages.get(number) ?? kept.get(number)!);
    },
  };
  return { manifest: new ManifestReader(index, source), indexBytes, digest: sha512(indexBytes) };
}

function merge(before: readonly Entry[], added: readonly Entry[]): Entry[] {
  const replaced = new Set(added.map(({ path }) => path.toString('latin1')));
  const kept = before.filter(({ path }) => !replaced.has(path.toString('latin1')));
  return [...kept, ...added].sort((a, b) => comparePaths(a.path, b.path));
}

function addUp(
  total: { entries: number; bytes: bigint; blocks: bigint },
  entries: readonly Entry[],
  sign: 1n | -1n,
): void {
  total.entries += Number(sign) * entries.length;
  for (const entry of entries) {
    if (entry.type === 'file') total.bytes += sign * entry.size;
    total.blocks += sign * dataBlocksOf(entry);
  }
}
