import type { Derivable } from './derivable.js';
import { inParallel } from '../image/in-parallel.js';

export interface DeriveOrSendOptions<T> {
  /** Has the object of one be made; whether it was. */
  derive: (pair: Derivable<T>, signal: AbortSignal) => Promise<boolean>;
  /** So many are made at once. */
  most: number;
  send: (files: readonly T[], signal: AbortSignal) => Promise<void>;
  signal?: AbortSignal | undefined;
}

/** Sends the files that are in none of the pairs while the objects of the others are made, and then those of which that did not succeed. */
export async function deriveOrSend<T>(
  files: readonly T[],
  pairs: readonly Derivable<T>[],
  { derive, most, send, signal }: DeriveOrSendOptions<T>,
): Promise<void> {
  const maybe = new Set(pairs.map(({ wanted }) => wanted));
  const deriveAll = async (until: AbortSignal): Promise<void> => {
    const made = await inParallel(pairs, most, async (pair, _, each) => derive(pair, each), until);
    await send(
      pairs.flatMap(({ wanted }, at) => (made[at] === true ? [] : [wanted])),
      until,
    );
  };
  const sendOthers = async (until: AbortSignal): Promise<void> =>
    send(
      files.filter(file => !maybe.has(file)),
      until,
    );
  await inParallel([sendOthers, deriveAll], 2, async (work, _, until) => work(until), signal);
}
