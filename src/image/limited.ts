/** Does work when its turn has come. */
export type Limited = <T>(work: () => Promise<T>) => Promise<T>;

/** Whoever does work through what this returns waits, first come, first served, while `most` others are at it. */
export function limited(most: number): Limited {
  const waiting: (() => void)[] = [];
  let busy = 0;
  return async work => {
    if (busy === most) await new Promise<void>(resolve => waiting.push(resolve));
    else busy++;
    try {
      return await work();
    } finally {
      // The place is passed on as it is, lest somebody who comes just now is before those who wait.
      const next = waiting.shift();
      if (next === undefined) busy--;
      else next();
    }
  };
}
