import { ImageUnpackerError, throwIfAborted } from '../image/error.js';

/** So many wait for one stream at most; more is a caller gone wild. */
const MOST_WAITING = 32;

/** Does one work after another. Who waits may give up. */
export class Queue {
  #last: Promise<unknown> = Promise.resolve();
  #length = 0;

  /** Whether nothing is done and nobody waits. */
  get idle(): boolean {
    return this.#length === 0;
  }

  /**
   * Does `work` when all that came before has ended; `onWait` is called if that takes waiting. Throws `CANCELLED`
   * when `signal` is aborted before the work has begun, `LIMIT_EXCEEDED` when too many wait.
   */
  async run<T>(signal: AbortSignal, onWait: () => void, work: () => Promise<T>): Promise<T> {
    throwIfAborted(signal);
    if (this.#length > MOST_WAITING) {
      throw new ImageUnpackerError('LIMIT_EXCEEDED', 'Too many calls wait for this stream; try again later');
    }
    if (!this.idle) onWait();
    this.#length++;
    const before = this.#last;
    const { promise: ended, resolve: end } = promiseWithResolver();
    this.#last = before.then(() => ended);
    try {
      await firstOf(before, signal);
      throwIfAborted(signal);
      return await work();
    } finally {
      this.#length--;
      end();
    }
  }
}

function promiseWithResolver(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>(settle => (resolve = settle));
  return { promise, resolve };
}

/** Waits for a promise, or until the signal is aborted. */
async function firstOf(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const { promise: aborted, resolve } = promiseWithResolver();
  signal.addEventListener('abort', resolve, { once: true });
  await Promise.race([promise, aborted]);
  signal.removeEventListener('abort', resolve);
}
