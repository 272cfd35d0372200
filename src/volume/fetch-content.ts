import type { FileEntry } from '../image/entry.js';
import { dataSizeOf } from '../image/entry.js';
import { manifestFault } from '../image/manifest-fault.js';
import type { ProgressSink } from '../image/progress.js';
import type { FetchedObjects, Store } from '../store/store.js';

/** How content is fetched. */
export interface FetchOptions {
  progress: ProgressSink;
  signal?: AbortSignal | undefined;
}

/**
 * Has the content of files at hand, every object of it verified. Throws `STORE_DAMAGED` naming all that are not good,
 * and `IMAGE_INVALID` naming a file whose object is not as large as the file says.
 */
export async function fetchContent(
  store: Store,
  files: readonly FileEntry[],
  options: FetchOptions,
): Promise<FetchedObjects> {
  const digests = new Map<string, Buffer>();
  for (const { digest } of files) {
    if (digest !== null) digests.set(digest.toString('latin1'), digest);
  }
  const step = options.progress.step('Verifying objects', 'files', digests.size);
  const onProgress = (items: number): void => {
    step.update(items);
  };
  try {
    const objects = await store.fetch([...digests.values()], { signal: options.signal, onProgress });
    const sizes = new Map([...digests.keys()].map((key, at) => [key, objects.sizes[at]!]));
    try {
      for (const file of files) checkSize(file, sizes);
    } catch (reason) {
      await objects.close();
      throw reason;
    }
    return objects;
  } finally {
    step.end();
  }
}

/** An object has one size, whatever a file says of itself. */
function checkSize({ path, size, holes, digest }: FileEntry, sizes: ReadonlyMap<string, number>): void {
  if (digest === null) return;
  const [needed, stored] = [dataSizeOf(size, holes), sizes.get(digest.toString('latin1'))!];
  if (needed === BigInt(stored)) return;
  throw manifestFault(path, `has ${String(needed)} bytes of data, but its object has ${String(stored)}`);
}
