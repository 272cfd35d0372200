import { throwIfAborted } from './error.js';

/**
 * Does `work` for each of the items, at most `most` at once, and resolves to what came of them, in their order. When one
 * fails, no other is begun, those that were are waited for, and the first failure is thrown.
 */
export async function inParallel<T, R>(
  items: readonly T[],
  most: number,
  work: (item: T, at: number) => Promise<R>,
  signal?: AbortSignal,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  let failed = false;
  const worker = async (): Promise<void> => {
    while (next < items.length && !failed) {
      const at = next++;
      try {
        throwIfAborted(signal);
        results[at] = await work(items[at]!, at);
      } catch (reason) {
        failed = true;
        throw reason;
      }
    }
  };
  const workers = Array.from({ length: Math.min(most, items.length) }, worker);
  const failure = (await Promise.allSettled(workers)).find(({ status }) => status === 'rejected');
  if (failure !== undefined) throw (failure as PromiseRejectedResult).reason;
  return results;
}
