import { ImageUnpackerError } from '../image/error.js';
import type { Limits } from '../image/settable-limits.js';
import { DEFAULT_LIMITS, FORMAT_LIMITS, LIMIT_NAMES } from '../image/settable-limits.js';
import { parseKeyValue } from './key-value.js';
import { parseSize } from './size.js';

const KEYS = new Map(Object.entries(LIMIT_NAMES).map(([key, name]) => [name, key as keyof Limits]));

/**
 * Limits as people write them: `entries=20000000,source-bytes=1TiB`. Those that are left out are the default ones.
 * Throws `USAGE`.
 */
export function parseLimits(text: string): Limits {
  const limits = { ...DEFAULT_LIMITS };
  for (const part of text.split(',')) {
    const { key: name, value } = parseKeyValue(part);
    const key = KEYS.get(name as (typeof LIMIT_NAMES)[keyof Limits]);
    if (key === undefined)
      throw new ImageUnpackerError('USAGE', `"${name}" is none of the limits ${[...KEYS.keys()].join(', ')}`);
    limits[key] = checkLimit(key, parseSize(value));
  }
  return limits;
}

/** Throws `USAGE` if a limit is above what an image can have at all. */
function checkLimit(key: keyof Limits, value: number): number {
  const most = FORMAT_LIMITS[key];
  if (value <= most) return value;
  const message = `No image has more than ${String(most)} (${LIMIT_NAMES[key]}); ${String(value)} is no limit`;
  throw new ImageUnpackerError('USAGE', message);
}
