import { Readable } from 'node:stream';
import { cancelled, ImageUnpackerError, throwIfAborted } from '../../image/error.js';

/**
 * The bytes of a source that is opened when they are first asked for. What goes wrong with it comes as
 * `SOURCE_MISSING` if it is not there, else as what the system said; errors of ours pass as they are.
 * A wait ends with `CANCELLED` as soon as `signal` is aborted.
 */
export async function* openInput(
  open: () => AsyncIterable<Buffer> | Promise<AsyncIterable<Buffer>>,
  name: string,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  throwIfAborted(signal);
  let input: AsyncIterable<Buffer> | undefined;
  let iterator: AsyncIterator<Buffer> | undefined;
  let isWaiting = true;
  let isDone = false;
  try {
    input = await orAborted(Promise.resolve(open()), signal);
    iterator = input[Symbol.asyncIterator]();
    while (!isDone) {
      isWaiting = true;
      const result = await orAborted(iterator.next(), signal);
      isWaiting = false;
      isDone = result.done === true;
      if (result.done !== true) yield result.value;
    }
  } catch (reason) {
    throw inputError(reason, name);
  } finally {
    const closing = isDone ? undefined : iterator?.return?.();
    // One that was left while it waits answers only when it wakes up; a stream can be woken.
    if (isWaiting) closing?.catch(() => undefined);
    else await closing;
    if (input instanceof Readable) input.destroy();
  }
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const stop = (): void => {
      reject(cancelled());
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    void work.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', stop);
    });
  });
}

function inputError(reason: unknown, name: string): ImageUnpackerError {
  const code = (reason as NodeJS.ErrnoException | undefined)?.code;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new ImageUnpackerError(
      'SOURCE_MISSING',
      `There is no ${name}; check the name`,
      { path: name },
      reason,
    );
  }
  return ImageUnpackerError.from(reason, `Cannot read ${name}`, { path: name });
}
