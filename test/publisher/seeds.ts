/** A test of more would take longer than a test may that tells of nothing. */
const SEEDS_TOGETHER = 20;

/** Seeds that one test tries. */
export interface Seeds {
  first: number;
  /** The one after the last. */
  end: number;
  title: string;
}

/** So many seeds, from `first` on, in parts for a test each. */
export function inParts(first: number, count: number): Seeds[] {
  const parts: Seeds[] = [];
  for (let at = first; at < first + count; at += SEEDS_TOGETHER) {
    const end = Math.min(at + SEEDS_TOGETHER, first + count);
    parts.push({ first: at, end, title: `seeds ${String(at)} to ${String(end - 1)}` });
  }
  return parts;
}
