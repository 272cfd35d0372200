import type { Entry } from '../image/entry.js';
import { dataSizeOf } from '../image/entry.js';
import { ImageUnpackerError } from '../image/error.js';
import { manifestFault } from '../image/manifest-fault.js';
import { TreeValidator } from '../image/validate.js';
import { ManifestReader } from '../store/manifest-reader.js';
import { requireObjects } from '../store/require-objects.js';
import type { ImageRecord, ObjectFault } from '../store/store.js';
import type { Lease } from './held-store.js';

/** So much of the pages is read together, and one page more. */
const PAGE_BYTES_AT_ONCE = 4 << 20;

/** An object that is needed, with the size that files say it has. */
interface Needed {
  digest: Buffer;
  size: bigint | undefined;
}

/**
 * Checks that an image is a tree, and that all it needs is there with the sizes that its manifest says, before it becomes known.
 * Objects were hashed when they came. Throws `STORE_DAMAGED`, naming what is missing, `IMAGE_INVALID`, `LIMIT_EXCEEDED`.
 */
export async function requireWhole({ store, parts }: Lease, record: ImageRecord): Promise<void> {
  const reader = await ManifestReader.open(store, Buffer.from(record.digest, 'hex'));
  const { index } = reader;
  if (index.entries !== record.entries) throw otherThan(record, 'entries', index.entries);
  if (index.bytes !== record.bytes) throw otherThan(record, 'bytes', index.bytes);
  const needed = new Map<string, Needed>();
  for (const hex of Object.values(record.annotations))
    needed.set(hex, { digest: Buffer.from(hex, 'hex'), size: undefined });
  for await (const entry of entriesOf(reader)) add(needed, entry);
  const all = [...needed.values()];
  const sizes = await parts.sizes(all.map(({ digest }) => digest));
  const faults = all.flatMap(({ digest, size }, at): ObjectFault[] => {
    const found = sizes[at];
    if (found === undefined) return [{ digest, state: 'missing' }];
    return size === undefined || BigInt(found) === size ? [] : [{ digest, state: 'damaged' }];
  });
  requireObjects(store.location, faults);
}

/** All entries, which are a tree; pages are read many at a time. */
async function* entriesOf(reader: ManifestReader): AsyncGenerator<Entry, void, undefined> {
  const validator = new TreeValidator();
  const { pages } = reader.index;
  for (let from = 0, to = 0; from < pages.length; from = to) {
    for (let bytes = 0; to < pages.length && bytes < PAGE_BYTES_AT_ONCE; to++) bytes += pages[to]!.length;
    const numbers = Array.from({ length: to - from }, (_, at) => from + at);
    await reader.pages(numbers);
    for (const number of numbers) {
      for (const entry of await reader.entriesOf(number)) {
        validator.add(entry);
        yield entry;
      }
    }
  }
  validator.finish(reader.index);
}

function add(needed: Map<string, Needed>, entry: Entry): void {
  if (entry.type !== 'file' || entry.digest === null) return;
  const key = entry.digest.toString('hex');
  const size = dataSizeOf(entry.size, entry.holes);
  const known = needed.get(key);
  // A copy: the digest would keep its whole page.
  if (known === undefined) needed.set(key, { digest: Buffer.from(entry.digest), size });
  else known.size ??= size;
  if (known?.size !== undefined && known.size !== size)
    throw manifestFault(entry.path, 'has another size than a file with the same digest');
}

function otherThan({ name }: ImageRecord, what: string, found: number | bigint): ImageUnpackerError {
  const message = `The record of ${name} is not that of its manifest, which has ${String(found)} ${what}`;
  return new ImageUnpackerError('IMAGE_INVALID', message, { image: name });
}
