import { ImageUnpackerError } from './error.js';

/*
 * Paths are bytes, relative to the root of the tree, without a slash at either end; the root itself
 * is the empty path. They are sorted by their components, which is to say that `/` sorts before every
 * other byte: a directory is followed at once by all that is below it.
 */

const SLASH = 0x2f;
const DOT = 0x2e;

/** The longest name that Linux file systems hold, in bytes. */
export const MAX_NAME_BYTES = 255;
/** The longest path that an image holds, in bytes. The kernel takes 4096 at once; trees can be deeper. */
export const MAX_PATH_BYTES = 65_535;

/** Orders two paths by their components. Returns a negative number, zero, or a positive one. */
export function comparePaths(a: Buffer, b: Buffer): number {
  const length = Math.min(a.length, b.length);
  let at = 0;
  while (at < length && a[at] === b[at]) at++;
  if (at === length) return a.length - b.length;
  return sortKey(a[at]!) - sortKey(b[at]!);
}

function sortKey(byte: number): number {
  return byte === SLASH ? 0 : byte + 1;
}

/** Whether `path` lies below the directory `directory` (a path is not below itself). */
export function isBelow(path: Buffer, directory: Buffer): boolean {
  if (directory.length === 0) return path.length > 0;
  return (
    path.length > directory.length &&
    path[directory.length] === SLASH &&
    path.compare(directory, 0, directory.length, 0, directory.length) === 0
  );
}

/** The path of the directory that holds `path`. The root has no parent. */
export function parentPath(path: Buffer): Buffer {
  const slash = path.lastIndexOf(SLASH);
  return slash < 0 ? path.subarray(0, 0) : path.subarray(0, slash);
}

/** The last component of `path`. */
export function baseName(path: Buffer): Buffer {
  return path.subarray(path.lastIndexOf(SLASH) + 1);
}

/** `name` in the directory `directory`. */
export function joinPath(directory: Buffer, name: Buffer): Buffer {
  return directory.length === 0 ? name : Buffer.concat([directory, Buffer.of(SLASH), name]);
}

/**
 * Says what keeps `path` from being the path of an entry, or undefined if nothing does: an empty
 * component, `.` or `..`, a NUL byte, a name or a path that is too long.
 */
export function pathFault(path: Buffer): string | undefined {
  if (path.length === 0) return undefined;
  if (path.length > MAX_PATH_BYTES) return `is longer than ${String(MAX_PATH_BYTES)} bytes`;
  if (path.includes(0)) return 'holds a NUL byte';
  for (let start = 0; start <= path.length;) {
    let end = path.indexOf(SLASH, start);
    if (end < 0) end = path.length;
    const fault = nameFault(path, start, end);
    if (fault !== undefined) return fault;
    start = end + 1;
  }
  return undefined;
}

function nameFault(path: Buffer, start: number, end: number): string | undefined {
  const length = end - start;
  if (length === 0) return 'has an empty component';
  if (length > MAX_NAME_BYTES) return `has a name longer than ${String(MAX_NAME_BYTES)} bytes`;
  if (path[start] !== DOT) return undefined;
  if (length === 1) return 'has "." as a component';
  if (length === 2 && path[start + 1] === DOT) return 'has ".." as a component';
  return undefined;
}

/** Throws `IMAGE_INVALID` unless `path` can be the path of an entry. */
export function checkPath(path: Buffer): void {
  const fault = pathFault(path);
  if (fault === undefined) return;
  const path_ = displayPath(path);
  throw new ImageUnpackerError('IMAGE_INVALID', `The path ${path_} ${fault}`, { path: path_ });
}

/** A path as it is shown: from the root, percent-encoded when it is not UTF-8. */
export function displayPath(path: Buffer): string {
  return displayBytes(Buffer.concat([Buffer.of(SLASH), path]));
}

/**
 * Bytes as they are shown: as they are when they are UTF-8, else with every byte that is no
 * printable ASCII character, and the percent sign, as `%XX`.
 */
export function displayBytes(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  if (Buffer.from(text, 'utf8').equals(bytes)) return text;
  let shown = '';
  for (const byte of bytes) {
    shown +=
      byte > 0x20 && byte < 0x7f && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return shown;
}
