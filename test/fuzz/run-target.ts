import { Random } from './random.js';
import type { Cases, Target } from './target.js';

/** Something that a reader did and must not do. */
export interface Finding {
  target: string;
  seed: string;
  number: number;
  reason: unknown;
}

/** What came of some cases. */
export interface Tally {
  tried: number;
  accepted: number;
  findings: Finding[];
}

/** The longest that a case may take, on a machine that has much else to do. */
const CASE_MILLISECONDS = 60_000;
/** So many findings are enough to look at. */
const MOST_FINDINGS = 10;

/**
 * Tries a target with the cases `first`, `first` + 1 … of a seed for as long as `goOn` says so. Each case is made by
 * the seed and its number alone. A case that takes a minute is a finding.
 */
export async function runTarget(
  { name }: Target,
  cases: Cases,
  seed: string,
  first: number,
  goOn: (tally: Tally) => boolean,
): Promise<Tally> {
  const tally: Tally = { tried: 0, accepted: 0, findings: [] };
  for (let number = first; goOn(tally) && tally.findings.length < MOST_FINDINGS; number++) {
    const began = performance.now();
    try {
      if (await cases.attempt(new Random(`${name} ${seed} ${String(number)}`))) tally.accepted++;
      const taken = performance.now() - began;
      if (taken > CASE_MILLISECONDS) throw new Error(`it took ${String(Math.round(taken / 1000))} seconds`);
    } catch (reason) {
      tally.findings.push({ target: name, seed, number, reason });
    }
    tally.tried++;
  }
  return tally;
}
