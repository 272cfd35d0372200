import type { Entry } from '../../image/entry.js';
import { dataSizeOf } from '../../image/entry.js';
import { ManifestReader } from '../../store/manifest-reader.js';
import type { ImageRecord, Store } from '../../store/store.js';
import type { ShownEntry } from './shown-entry.js';
import { toShownEntry } from './shown-entry.js';

/** Totals of an image, and its entries if they are asked for. Throws `STORE_DAMAGED`, `IMAGE_INVALID`. */
export async function summariseImage(store: Store, record: ImageRecord, withEntries: boolean) {
  const reader = await ManifestReader.open(store, Buffer.from(record.digest, 'hex'));
  const types: Partial<Record<Entry['type'], number>> = {};
  const objects = new Map<string, bigint>();
  const list: ShownEntry[] = [];
  for await (const entry of reader.entries()) {
    types[entry.type] = (types[entry.type] ?? 0) + 1;
    if (entry.type === 'file' && entry.digest !== null) {
      objects.set(entry.digest.toString('latin1'), dataSizeOf(entry.size, entry.holes));
    }
    if (withEntries) list.push(toShownEntry(entry));
  }
  const objectBytes = [...objects.values()].reduce((sum, size) => sum + size, 0n);
  return { objects: objects.size, objectBytes, types, ...(withEntries && { list }) };
}
