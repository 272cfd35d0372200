import { MAX_INDEX_BYTES, MAX_PAGE_BYTES } from '../image/limits.js';
import { dataSizeOf } from '../image/entry.js';
import { decodeIndex } from '../image/manifest.js';
import { decodePage } from '../image/page.js';
import { ImageUnpackerError } from '../image/error.js';
import type { ImageRecord, ObjectFault } from '../store/store.js';
import { requireObjects } from '../store/require-objects.js';
import type { Lease } from './held-store.js';

/** Pages that are read together. */
const PAGES_AT_ONCE = 64;

/**
 * Checks that all an image needs is there, with the sizes that its manifest says, before it becomes known. Objects were hashed
 * when they came. Throws `STORE_DAMAGED`, naming what is missing, `IMAGE_INVALID`.
 */
export async function requireWhole({ store, parts }: Lease, record: ImageRecord): Promise<void> {
  const index = decodeIndex(await store.read(Buffer.from(record.digest, 'hex'), MAX_INDEX_BYTES));
  if (index.entries !== record.entries) throw otherThan(record, 'entries', index.entries);
  if (index.bytes !== record.bytes) throw otherThan(record, 'bytes', index.bytes);
  const needed = new Map<string, { digest: Buffer; size: bigint | undefined }>();
  for (const hex of Object.values(record.annotations))
    needed.set(hex, { digest: Buffer.from(hex, 'hex'), size: undefined });
  const pages = index.pages.map(({ digest }) => digest);
  for (let at = 0; at < pages.length; at += PAGES_AT_ONCE) {
    for (const page of await store.readMany(pages.slice(at, at + PAGES_AT_ONCE), MAX_PAGE_BYTES)) {
      for (const entry of decodePage(page)) {
        if (entry.type !== 'file' || entry.digest === null) continue;
        const key = entry.digest.toString('hex');
        // A copy: the digest would keep its whole page.
        if (!needed.has(key))
          needed.set(key, { digest: Buffer.from(entry.digest), size: dataSizeOf(entry.size, entry.holes) });
      }
    }
  }
  const all = [...needed.values()];
  const sizes = await parts.sizes(all.map(({ digest }) => digest));
  const faults = all.flatMap(({ digest, size }, at): ObjectFault[] => {
    const found = sizes[at];
    if (found === undefined) return [{ digest, state: 'missing' }];
    return size === undefined || BigInt(found) === size ? [] : [{ digest, state: 'damaged' }];
  });
  requireObjects(store.location, faults);
}

function otherThan({ name }: ImageRecord, what: string, found: number | bigint): ImageUnpackerError {
  const message = `The record of ${name} is not that of its manifest, which has ${String(found)} ${what}`;
  return new ImageUnpackerError('IMAGE_INVALID', message, { image: name });
}
