import { damaged, unsupported, type Place } from './fault.js';

/*
 * Numbers in a tar file.
 *
 *   header field:  spaces* octal-digit+ (space | NUL)*    POSIX; a full field needs no terminator
 *                | NUL*                                   zero (left out by the writer)
 *                | 0x80 byte*                             base 256: the rest, big endian, not negative
 *                | 0xff byte*                             base 256: the whole field in two's complement
 *   pax value:     digit+                                 decimal
 *   pax time:      "-"? digit+ ("." digit*)?              seconds
 */

const SPACE = 0x20;
const NANOSECONDS = 1_000_000_000n;
/** Seconds that fit the kernel's 64-bit time_t. */
const MAX_SECONDS = 2n ** 63n - 1n;

/** Decodes a numeric field of a header, or undefined if it is no number. */
export function decodeNumber(field: Buffer): bigint | undefined {
  const first = field[0]!;
  if (first === 0x80) return decodeBase256(field.subarray(1));
  if (first === 0xff) return decodeBase256(field) - (1n << BigInt(8 * field.length));
  return decodeOctal(field);
}

function decodeBase256(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`);
}

function decodeOctal(field: Buffer): bigint | undefined {
  let at = 0;
  while (at < field.length && field[at] === SPACE) at++;
  const start = at;
  // A field is at most 12 digits long, 36 bits, which a double holds.
  let value = 0;
  for (; at < field.length; at++) {
    const digit = field[at]! - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  const blank = at === start;
  for (; at < field.length; at++) if (field[at] !== 0 && (blank || field[at] !== SPACE)) return undefined;
  return blank && start > 0 ? undefined : BigInt(value);
}

/** Decodes the decimal number of a pax record. Throws `SOURCE_DAMAGED` if it is none. */
export function decodeDecimal(place: Place, key: string, value: Buffer): bigint {
  const text = value.toString('latin1');
  // 2^64 has 20 digits; no number in a tar file is longer.
  if (!/^\d{1,20}$/.test(text)) throw damaged(place, `its ${key} is no decimal number`);
  return BigInt(text);
}

/**
 * Decodes the time of a pax record into nanoseconds since 1970. What is finer than a nanosecond is
 * cut off towards the past, as GNU tar does. Throws `SOURCE_DAMAGED` if it is no time, and
 * `SOURCE_UNSUPPORTED` if the kernel has no such time.
 */
export function decodeTime(place: Place, key: string, value: Buffer): bigint {
  const match = /^(-?)0*(\d{1,20})(?:\.(\d*))?$/.exec(value.toString('latin1'));
  if (match === null) throw damaged(place, `its ${key} is no time`);
  const [, sign, whole, fraction = ''] = match;
  checkSeconds(place, BigInt(whole!));
  const nanoseconds = BigInt(whole!) * NANOSECONDS + BigInt(fraction.slice(0, 9).padEnd(9, '0'));
  if (sign === '') return nanoseconds;
  return /[1-9]/.test(fraction.slice(9)) ? -nanoseconds - 1n : -nanoseconds;
}

/** Turns whole seconds into nanoseconds. Throws `SOURCE_UNSUPPORTED` if the kernel has no such time. */
export function secondsToTime(place: Place, seconds: bigint): bigint {
  checkSeconds(place, seconds < 0n ? -seconds : seconds);
  return seconds * NANOSECONDS;
}

function checkSeconds(place: Place, seconds: bigint): void {
  if (seconds > MAX_SECONDS) {
    throw unsupported(place, 'its modification time is beyond what Linux can hold; set another');
  }
}
