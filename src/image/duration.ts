import { ImageUnpackerError } from './error.js';

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** A hundred years: whatever is added to a date stays a date that RFC 3339 can write. */
const LONGEST = 36_500 * 86_400;

/** The seconds of a duration as it stands on a command line: `90s 15m 12h 30d`. Throws `USAGE`. */
export function parseDuration(text: string): number {
  const [, count, unit] = /^(\d+)([smhd])$/.exec(text) ?? [];
  if (count === undefined || unit === undefined) {
    throw new ImageUnpackerError('USAGE', `"${text}" is not a duration; write one like 90s, 15m, 12h or 30d`);
  }
  const seconds = Number(count) * SECONDS[unit]!;
  if (seconds === 0 || seconds > LONGEST) {
    throw new ImageUnpackerError('USAGE', `The duration "${text}" is out of range; it can be 1s to 36500d`);
  }
  return seconds;
}
