import { damaged, type Place } from './fault.js';

/*
 * The body of a pax header (POSIX.1-2017, pax, "pax Extended Header"):
 *
 *   body:    record*
 *   record:  length " " key "=" value "\n"
 *   length:  digit+, the bytes of the whole record, itself and the newline included
 *   key:     byte+ without "="
 *   value:   byte*, whatever they are
 */

/** A record; the key is one character a byte, the value is a view of the body. */
export interface PaxRecord {
  key: string;
  value: Buffer;
}

const SPACE = 0x20;
const EQUALS = 0x3d;
const NEWLINE = 0x0a;
/** Seven digits say more than the longest body. */
const MAX_LENGTH_DIGITS = 7;

/** Splits the body of a pax header, in order. Throws `SOURCE_DAMAGED` if it is not made of records. */
export function decodePaxRecords(place: Place, body: Buffer): PaxRecord[] {
  const records: PaxRecord[] = [];
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(SPACE, at);
    const length = space < 0 ? undefined : decodeLength(body, at, space);
    const end = at + (length ?? 0);
    if (length === undefined || end > body.length || body[end - 1] !== NEWLINE) {
      throw damaged(place, 'its pax header is not made of records');
    }
    const record = body.subarray(space + 1, end - 1);
    const equals = record.indexOf(EQUALS);
    if (equals <= 0) throw damaged(place, 'its pax header has a record without a key');
    records.push({ key: record.toString('latin1', 0, equals), value: record.subarray(equals + 1) });
    at = end;
  }
  return records;
}

function decodeLength(body: Buffer, start: number, end: number): number | undefined {
  if (end === start || end - start > MAX_LENGTH_DIGITS) return undefined;
  const text = body.toString('latin1', start, end);
  return /^\d+$/.test(text) ? Number(text) : undefined;
}
