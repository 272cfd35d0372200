import type { FileEntry } from '../image/entry.js';
import type { ProgressSink } from '../image/progress.js';
import type { FetchedObjects, Store } from '../store/store.js';

/** Has the content of files at hand, every object of it verified. Throws `STORE_DAMAGED` naming all that are not good. */
export async function fetchContent(
  store: Store,
  files: readonly FileEntry[],
  options: { progress: ProgressSink; signal?: AbortSignal | undefined },
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
    return await store.fetch([...digests.values()], { signal: options.signal, onProgress });
  } finally {
    step.end();
  }
}
