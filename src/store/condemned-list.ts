import { sha512 } from '../image/digest.js';

/*
 * Lists of objects that are to be deleted, which whoever uses the store meanwhile knows of.
 *
 *   condemned  = *mark check                    mark: the first 16 bytes of a digest; check: SHA-512 of all marks
 *   rescued    = *mark                          those of them that somebody needs after all
 */

const MARK_BYTES = 16;
const CHECK_BYTES = 64;
/** Sixteen million objects. */
export const MAX_LIST_BYTES = 256 << 20;
/** What an object is known by in lists: were two alike in it, one would be kept that is not needed. */
export function markOf(digest: Buffer): string {
  return digest.toString('latin1', 0, MARK_BYTES);
}

export function encodeMarks(marks: Iterable<string>): Buffer {
  return Buffer.from([...marks].join(''), 'latin1');
}

export function* decodeMarks(bytes: Buffer): Generator<string, void, undefined> {
  for (let at = 0; at + MARK_BYTES <= bytes.length; at += MARK_BYTES)
    yield bytes.toString('latin1', at, at + MARK_BYTES);
}

export function encodeCondemned(marks: Iterable<string>): Buffer {
  const bytes = encodeMarks(marks);
  return Buffer.concat([bytes, sha512(bytes)]);
}

/** The marks of a condemned list; undefined if it is damaged. */
export function decodeCondemned(bytes: Buffer): Set<string> | undefined {
  const marks = bytes.subarray(0, Math.max(bytes.length - CHECK_BYTES, 0));
  return sha512(marks).equals(bytes.subarray(marks.length)) ? new Set(decodeMarks(marks)) : undefined;
}
