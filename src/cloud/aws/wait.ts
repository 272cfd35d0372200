import { ImageUnpackerError } from '../../image/error.js';
import type { AwsSession } from './session.js';

const FIRST_MILLISECONDS = 1000;
const LONGEST_MILLISECONDS = 10_000;
const GROWTH = 1.5;

/** What is waited for, and for how long. */
export interface Waiting {
  /** For people: "the snapshot snap-1 to be complete". */
  readonly what: string;
  readonly deadlineSeconds: number;
  readonly target: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Asks until there is an answer, after 1 s and then less and less often, up to every 10 s. What `ask` throws ends
 * it. Throws `TIMEOUT`, `CANCELLED`.
 */
export async function waitFor<T>(
  { clock }: AwsSession,
  { what, deadlineSeconds, target, signal }: Waiting,
  ask: () => Promise<T | undefined>,
): Promise<T> {
  const began = clock.now();
  for (let pause = FIRST_MILLISECONDS; ; pause = Math.min(pause * GROWTH, LONGEST_MILLISECONDS)) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (clock.now() - began > deadlineSeconds * 1000) {
      const message = `Waited ${String(deadlineSeconds)} s for ${what} in ${target}, in vain; resume goes on waiting`;
      throw new ImageUnpackerError('TIMEOUT', message, { target });
    }
    await clock.sleep(pause, signal);
  }
}
