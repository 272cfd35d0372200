import { cancelled } from '../image/error.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What can happen to a process: signals, and errors that nobody caught. */
export interface ProcessEvents {
  on(event: string, listener: (argument: unknown) => void): unknown;
}

/**
 * An AbortSignal that the first signal to the process aborts. Whoever asks again while what was begun is
 * being put in order is only told so: leaving early would leave a doubtful volume behind.
 */
export function abortWhenInterrupted(process: ProcessEvents, tell: (note: string) => void): AbortSignal {
  const controller = new AbortController();
  for (const name of SIGNALS) {
    process.on(name, () => {
      if (controller.signal.aborted) {
        tell('Already stopping; putting things in order takes a moment');
        return;
      }
      tell('Interrupted; stopping');
      controller.abort(cancelled());
    });
  }
  return controller.signal;
}
