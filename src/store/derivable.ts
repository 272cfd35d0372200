import { isDeepStrictEqual } from 'node:util';
import type { FileEntry } from '../image/entry.js';
import { dataSizeOf } from '../image/entry.js';

/** What is known of a file's data: its digest, and which of the file's bytes it is. */
export type FileData = Pick<FileEntry, 'size' | 'holes' | 'digest'>;

/** A file whose object may be made of that of another one. */
export interface Derivable<T> {
  wanted: T;
  found: FileData;
}

/** With more of them in both files it is sent: where all its ranges begin is in memory. */
const MOST_HOLES = 32_768;
/** More is sent: nobody hears of an object while it is made, and who is silent for a minute counts as gone. */
const MOST_BYTES = 1n << 30n;

/**
 * Whether `wanted` may have the data of `found` and differ in nothing but its holes, and is worth to be made of it. Whether it does
 * is seen when it is made. Of a few bytes and a large hole nothing large is made: whoever asks for it need not send it.
 */
export function isDerivable(wanted: FileData, found: FileData): boolean {
  if (wanted.digest === null || found.digest === null) return false;
  if (wanted.holes.length + found.holes.length > MOST_HOLES) return false;
  if (wanted.size !== found.size || wanted.digest.equals(found.digest)) return false;
  const [bytes, there] = [dataSizeOf(wanted.size, wanted.holes), dataSizeOf(found.size, found.holes)];
  if (bytes > MOST_BYTES || bytes > 2n * there) return false;
  return !isDeepStrictEqual(wanted.holes, found.holes);
}
