import { throwIfAborted } from './error.js';

/**
 * Does `work` for each of the items, at most `most` at once, and resolves to what came of them, in their order. When one
 * fails, or `signal` is aborted, no other is begun, those that were are told by a signal of their own and waited for, and what failed first is thrown.
 */
export async function inParallel<T, R>(
  items: readonly T[],
  most: number,
  work: (item: T, at: number, signal: AbortSignal) => Promise<R>,
  signal?: AbortSignal,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  const ended = new AbortController();
  const stop = (): void => ended.abort(signal?.reason);
  const failures: unknown[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const at = next++;
      try {
        throwIfAborted(signal);
        results[at] = await work(items[at]!, at, ended.signal);
      } catch (reason) {
        failures.push(reason);
        ended.abort(reason);
      }
    }
  };
  signal?.addEventListener('abort', stop, { once: true });
  try {
    await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker));
  } finally {
    signal?.removeEventListener('abort', stop);
  }
  if (failures.length > 0) throw failures[0];
  return results;
}
