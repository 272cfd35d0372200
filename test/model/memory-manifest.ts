import type { Entry } from '../../src/image/entry.js';
import type { ManifestIndex } from '../../src/image/manifest.js';
import { ManifestReader } from '../../src/store/manifest-reader.js';
import { manifestWriter } from './manifest-writer.js';

/** A manifest that is kept in memory, and which of its pages were read. */
export interface MemoryManifest {
  reader: ManifestReader;
  index: ManifestIndex;
  pages: Buffer[];
  read: Set<number>;
}

export function manifestOf(entries: readonly Entry[]): MemoryManifest {
  const writer = manifestWriter();
  const pages: Buffer[] = [];
  for (const entry of entries) {
    const page = writer.add(entry);
    if (page !== undefined) pages.push(page.bytes);
  }
  const { page, index } = writer.finish();
  pages.push(page.bytes);
  return readerOf(index.index, pages);
}

/** A reader of pages that may not be what the index says. */
export function readerOf(index: ManifestIndex, pages: Buffer[]): MemoryManifest {
  const read = new Set<number>();
  const source = {
    pages: async (numbers: readonly number[]): Promise<Buffer[]> => {
      for (const number of numbers) read.add(number);
      return Promise.resolve(numbers.map(number => pages[number]!));
    },
  };
  return { reader: new ManifestReader(index, source), index, pages, read };
}
