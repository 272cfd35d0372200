import { createHash } from 'node:crypto';

/** Numbers that look random and are always the same for a seed (sfc32 of PractRand). */
export class Random {
  readonly #state: Uint32Array;

  /** `seed` is any text: what made a case is said by it alone. */
  constructor(seed: string) {
    const digest = createHash('sha256').update(seed).digest();
    this.#state = Uint32Array.from([0, 4, 8, 12], at => digest.readUInt32LE(at));
    this.#state[3] = 1;
    for (let round = 0; round < 12; round++) this.next();
  }

  /** A whole number from 0 up to 2^32 - 1. */
  next(): number {
    const state = this.#state;
    const [a, b, c, d] = [state[0]!, state[1]!, state[2]!, state[3]!];
    const sum = (a + b + d) >>> 0;
    state[3] = d + 1;
    state[0] = b ^ (b >>> 9);
    state[1] = c + (c << 3);
    state[2] = ((c << 21) | (c >>> 11)) + sum;
    return sum;
  }

  /** A whole number below `limit`, which is at least 1. */
  below(limit: number): number {
    return this.next() % limit;
  }

  /** Whether something happens that does so once in `times`. */
  onceIn(times: number): boolean {
    return this.below(times) === 0;
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
}
