import type { Xattr } from './entry.js';
import { ImageUnpackerError } from './error.js';
import { MAX_ENTRIES, MAX_XATTR_VALUE_BYTES } from './limits.js';
import { baseName, displayBytes, displayPath, MAX_NAME_BYTES } from './path.js';

/** What a user allows an image, and the source of one: up to what the format has. */
export interface Limits {
  readonly entries: number;
  /** Of a name: one component of a path. */
  readonly nameBytes: number;
  /** Of the value of an extended attribute. */
  readonly xattrBytes: number;
  /** Of a tar file, after decompression. */
  readonly sourceBytes: number;
}

/** What of an entry has limits. */
interface LimitedEntry {
  readonly path: Buffer;
  readonly xattrs?: readonly Xattr[];
}

/** No limits but those of the format; a tar file may be larger than any disk. */
export const FORMAT_LIMITS: Limits = {
  entries: MAX_ENTRIES,
  nameBytes: MAX_NAME_BYTES,
  xattrBytes: MAX_XATTR_VALUE_BYTES,
  sourceBytes: 2 ** 49,
};

/**
 * What holds where nothing else is said: more than a root file system has, and not more than a machine with a few GiB
 * of memory can do (a build takes up to 0.8 KiB an entry). 256 GiB stop a decompression bomb.
 */
export const DEFAULT_LIMITS: Limits = { ...FORMAT_LIMITS, entries: 5_000_000, sourceBytes: 2 ** 38 };

/** How limits are called where a user sets them. */
export const LIMIT_NAMES = {
  entries: 'entries',
  nameBytes: 'name-bytes',
  xattrBytes: 'xattr-bytes',
  sourceBytes: 'source-bytes',
} as const satisfies Record<keyof Limits, string>;

/** Limits as text: `entries=1000,name-bytes=255,…`. */
export function showLimits(limits: Limits): string {
  const keys = Object.keys(LIMIT_NAMES) as (keyof Limits)[];
  return keys.map(key => `${LIMIT_NAMES[key]}=${String(limits[key])}`).join();
}

/** Throws `LIMIT_EXCEEDED` if there are more entries than may be. `what` has them: "The source". */
export function checkEntryCount(what: string, entries: number, limits: Limits): void {
  if (entries > limits.entries)
    throw exceeded(`${what} has more than ${String(limits.entries)} entries`, 'entries');
}

/**
 * Throws `LIMIT_EXCEEDED`, naming the entry, if a part of it is larger than the user allows. What is larger than the
 * format allows is for others to refuse.
 */
export function checkEntryLimits(entry: LimitedEntry, { nameBytes, xattrBytes }: Limits): void {
  if (nameBytes < MAX_NAME_BYTES && baseName(entry.path).length > nameBytes) {
    const path = displayPath(entry.path);
    throw exceeded(`${path} has a name of more than ${String(nameBytes)} bytes`, 'nameBytes', path);
  }
  const most = xattrBytes < MAX_XATTR_VALUE_BYTES ? xattrBytes : Infinity;
  const xattr = entry.xattrs?.find(({ value }) => value.length > most);
  if (xattr === undefined) return;
  const path = displayPath(entry.path);
  const what = `the extended attribute ${displayBytes(xattr.name)}, of more than ${String(xattrBytes)} bytes`;
  throw exceeded(`${path} has ${what}`, 'xattrBytes', path);
}

/** The error of what is beyond a limit. `what` says so; `path` is fit to show. */
export function exceeded(what: string, limit: keyof Limits, path?: string): ImageUnpackerError {
  const message = `${what}; if it is sound, allow more with --limits ${LIMIT_NAMES[limit]}=…`;
  return new ImageUnpackerError('LIMIT_EXCEEDED', message, path === undefined ? {} : { path });
}
