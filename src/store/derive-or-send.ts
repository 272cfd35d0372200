import type { Derivable } from './derivable.js';
import { inParallel } from '../image/in-parallel.js';

export interface DeriveOrSendOptions<T> {
  /** Has the object of one be made; whether it was. */
  derive: (pair: Derivable<T>) => Promise<boolean>;
  /** So many are made at once. */
  most: number;
  send: (files: readonly T[]) => Promise<void>;
  signal?: AbortSignal | undefined;
}

/** Sends the files that are in none of the pairs while the objects of the others are made, and then those of which that did not succeed. */
export async function deriveOrSend<T>(
  files: readonly T[],
  pairs: readonly Derivable<T>[],
  { derive, most, send, signal }: DeriveOrSendOptions<T>,
): Promise<void> {
  const maybe = new Set(pairs.map(({ wanted }) => wanted));
  const deriveAll = async (): Promise<void> => {
    const made = await inParallel(pairs, most, derive, signal);
    await send(pairs.flatMap(({ wanted }, at) => (made[at] === true ? [] : [wanted])));
  };
  const sendOthers = async (): Promise<void> => send(files.filter(file => !maybe.has(file)));
  await inParallel([sendOthers, deriveAll], 2, async work => work(), signal);
}
