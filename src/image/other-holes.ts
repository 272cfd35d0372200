import type { Hole } from './entry.js';
import { segmentsOf } from './entry.js';

/*
 * The data of a file is what lies beside its holes. Of two files that differ in nothing but which of their zeros are holes, the
 * data of one can be made of that of the other.
 */

/** So many bytes of the data of a file: those from `at` on in the data of the other file, or zeros, where that has a hole. */
export interface DataRange {
  at: bigint | undefined;
  length: bigint;
}

/**
 * What the data of a file of `size` bytes with the holes `wanted` is made of, in order, where the data is there of a file that has
 * the same bytes and the holes `found`. If they have not the same bytes, it is made of something else: its digest tells.
 */
export function dataRanges(size: bigint, wanted: readonly Hole[], found: readonly Hole[]): DataRange[] {
  const ranges: DataRange[] = [];
  const segments = segmentsOf(size, found);
  let next = 0;
  let before = 0n;
  for (const { offset, length } of segmentsOf(size, wanted)) {
    const end = offset + length;
    for (let at = offset; at < end;) {
      let segment = segments[next];
      while (segment !== undefined && segment.offset + segment.length <= at) {
        before += segment.length;
        segment = segments[++next];
      }
      const isData = segment !== undefined && segment.offset <= at;
      const limit = segment === undefined ? end : isData ? segment.offset + segment.length : segment.offset;
      const until = limit < end ? limit : end;
      ranges.push({ at: isData ? before + at - segment!.offset : undefined, length: until - at });
      at = until;
    }
  }
  return ranges;
}
