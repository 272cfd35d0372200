import { sha512 } from '../../src/image/digest.js';
import { ByteWriter } from '../../src/image/encoding.js';
import type { Entry } from '../../src/image/entry.js';
import type { PageReference } from '../../src/image/manifest.js';
import { dataBlocksOf } from '../../src/image/manifest.js';
import { PageWriter } from '../../src/image/page.js';
import type { ImageRecord, Store } from '../../src/store/store.js';

/*
 * Images made by hand, as somebody makes them who wants to do harm: every digest is right, and nothing else needs to be.
 */

/** What an index may say that is not so. */
export interface Lies {
  entries?: number;
  bytes?: bigint;
  blocks?: bigint;
  /** Of each page. */
  pages?: (page: PageReference, number: number) => Partial<PageReference>;
}

/** Stores pages with the entries that are given for each, and an index, as an image. */
export async function storeHandMade(
  store: Store,
  name: string,
  pages: readonly (readonly Entry[])[],
  lies: Lies = {},
): Promise<ImageRecord> {
  const encoded = pages.map(entries => encodePage(entries));
  for (const bytes of encoded) await store.put(bytes);
  const references = pages.map((entries, number) => {
    const bytes = encoded[number]!;
    const first = entries[0]!.path;
    const page = { digest: sha512(bytes), entries: entries.length, length: bytes.length, first };
    return { ...page, ...lies.pages?.(page, number) };
  });
  const all = pages.flat();
  const size = (entry: Entry): bigint => (entry.type === 'file' ? entry.size : 0n);
  const { entries = all.length, bytes = all.reduce((sum, entry) => sum + size(entry), 0n) } = lies;
  const { blocks = all.reduce((sum, entry) => sum + dataBlocksOf(entry), 0n) } = lies;
  const index = encodeIndex(entries, bytes, blocks, references);
  await store.put(index);
  const record = {
    name,
    digest: sha512(index).toString('hex'),
    createdAt: '2026-01-01T00:00:00.000Z',
    expiresAt: null,
    entries,
    bytes,
    tags: {},
    annotations: {},
  };
  await store.create(record);
  return record;
}

function encodePage(entries: readonly Entry[]): Buffer {
  const writer = new PageWriter();
  for (const entry of entries) writer.add(entry);
  return writer.take();
}

/** An index that says whatever it is told; the grammar stands in src/image/manifest.ts. */
export function encodeIndex(
  entries: number,
  bytes: bigint,
  blocks: bigint,
  pages: readonly PageReference[],
): Buffer {
  const writer = new ByteWriter();
  writer.raw(Buffer.from('iuindex1'));
  for (const number of [entries, bytes, blocks, pages.length]) writer.varint(number);
  for (const page of pages) {
    writer.raw(page.digest);
    writer.varint(page.entries);
    writer.varint(page.length);
    writer.bytes(page.first);
  }
  return writer.take();
}
