import type { Entry } from '../../src/image/entry.js';
import type { ImageRecord, Store } from '../../src/store/store.js';
import { manifestWriter } from './manifest-writer.js';

/** What the files of model trees hold. */
const CONTENTS = ['one', 'two', 'three'];

/** Stores a tree of the model as an image. */
export async function storeImage(
  store: Store,
  name: string,
  entries: readonly Entry[],
): Promise<ImageRecord> {
  for (const text of CONTENTS) await store.put(Buffer.from(text));
  const writer = manifestWriter();
  for (const entry of entries) {
    const page = writer.add(entry);
    if (page !== undefined) await store.put(page.bytes);
  }
  const { page, index } = writer.finish();
  await store.put(page.bytes);
  await store.put(index.bytes);
  const record = {
    name,
    digest: index.digest.toString('hex'),
    createdAt: '2026-01-01T00:00:00.000Z',
    expiresAt: null,
    entries: index.index.entries,
    bytes: index.index.bytes,
    tags: {},
    annotations: {},
  };
  await store.create(record);
  return record;
}
