import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import * as v from 'valibot';
import { section } from '../image/configuration.js';
import { ImageUnpackerError } from '../image/error.js';
import type { Limits } from '../image/settable-limits.js';
import { DEFAULT_LIMITS, FORMAT_LIMITS } from '../image/settable-limits.js';
import { parseSize } from './size.js';

/* What the configurations of several programs have. */

/** A path, or an address. */
export const place = v.pipe(v.string(), v.nonEmpty('something is expected'));
/** A size, as `--help` has them. */
export const size = v.pipe(
  v.union([v.string(), v.number()], 'a size is expected, such as 8GiB'),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      return parseSize(String(dataset.value));
    } catch (reason) {
      addIssue({ message: (reason as Error).message });
      return NEVER;
    }
  }),
);

const limit = (key: keyof Limits) =>
  v.optional(
    v.pipe(
      v.number('a number is expected'),
      v.integer('a whole number is expected'),
      v.minValue(1, 'a limit is 1 or more'),
      v.maxValue(FORMAT_LIMITS[key], `no image has more than ${String(FORMAT_LIMITS[key])}`),
    ),
    DEFAULT_LIMITS[key],
  );
/** What an image may have at most; what is not said is as usual. */
export const limits = v.pipe(
  section({
    entries: limit('entries'),
    nameBytes: limit('nameBytes'),
    xattrBytes: limit('xattrBytes'),
  }),
  v.transform(given => ({ ...DEFAULT_LIMITS, ...given })),
);

/** Where objects are kept that come from elsewhere. */
export const cache = section({ directory: v.optional(place), size: v.optional(size) });

/** The text of a configuration. Throws `CONFIGURATION`. */
export async function readConfigurationText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((reason: unknown) => {
    const message = `Cannot read the configuration ${path}: ${(reason as Error).message}`;
    throw new ImageUnpackerError('CONFIGURATION', message, { path }, reason);
  });
}

/** Paths in a configuration are meant from where it lies. */
export function pathsFrom(path: string): (given: string | undefined) => string | undefined {
  return given => (given === undefined ? undefined : resolve(dirname(path), given));
}

/** The same for a store, which may be no path. */
export function storeFrom(path: string, given: string | undefined): string | undefined {
  return given?.includes('://') === true ? given : pathsFrom(path)(given);
}
