import { createHash } from 'node:crypto';
import type { ErrorCode } from './error.js';
import { ImageUnpackerError } from './error.js';

/*
 * A small record that is kept as a file and shows whether it is whole.
 *
 *   sealed  = json LF "sha512 " digest LF
 *   json    = one JSON object (RFC 8259) on one line, with "format": 1
 *   digest  = 128 lower-case hex digits                    SHA-512 of `json`
 *
 * Integers may be of any size and are written with all their digits. No string begins with U+0000.
 */

const FORMAT = 1;
/** Where a string or a number stands in JSON; outside of strings digits are in numbers only. */
const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** Marks a string that stands for a big integer, only while this module works. */
const MARK = '\0';
const MARKED = /"\\u0000(-?\d+)"/g;

/** An object as a sealed record. Its values may be bigints. */
export function seal(record: object): string {
  const json = JSON.stringify({ format: FORMAT, ...record }, (_key, value: unknown) => {
    if (typeof value === 'bigint') return `${MARK}${String(value)}`;
    if (typeof value !== 'string' || !value.startsWith(MARK)) return value;
    throw new ImageUnpackerError('INTERNAL', 'A string that begins with a NUL cannot be kept in a record');
  }).replace(MARKED, '$1');
  return `${json}\nsha512 ${digestOf(json)}\n`;
}

/**
 * The object of a sealed record, without `format`. An integer that a number cannot hold exactly comes as a
 * bigint. Throws `code`, naming `what`, unless every byte is as it was written.
 */
export function unseal(text: Buffer, what: string, code: ErrorCode): Record<string, unknown> {
  const damaged = (why: string): ImageUnpackerError => {
    return new ImageUnpackerError(code, `${what} is damaged: ${why}`, { path: what });
  };
  const end = text.indexOf(0x0a);
  const json = text.toString('utf8', 0, Math.max(end, 0));
  if (text.toString('utf8', end + 1) !== `sha512 ${digestOf(json)}\n`) throw damaged('its seal does not fit');
  const record = parse(json);
  if (typeof record !== 'object' || record === null) throw damaged('it is not a JSON object');
  const { format, ...rest } = record as Record<string, unknown>;
  if (format !== FORMAT) throw damaged(`its format is not ${String(FORMAT)}, the one that is known`);
  return rest;
}

function parse(json: string): unknown {
  const marked = json.replace(STRING_OR_NUMBER, token => {
    const isBig = !token.startsWith('"') && /^-?\d{16,}$/.test(token) && !Number.isSafeInteger(Number(token));
    return isBig ? JSON.stringify(`${MARK}${token}`) : token;
  });
  try {
    return JSON.parse(marked, (_key, value: unknown) =>
      typeof value === 'string' && value.startsWith(MARK) ? BigInt(value.slice(1)) : value,
    );
  } catch {
    return undefined;
  }
}

function digestOf(json: string): string {
  return createHash('sha512').update(json, 'utf8').digest('hex');
}
