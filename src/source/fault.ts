import type { ErrorCode } from '../image/error.js';
import { ImageUnpackerError } from '../image/error.js';
import { displayPath } from '../image/path.js';

/** The error of an entry that no image can hold. */
export function unsupported(path: Buffer, why: string, cause?: unknown): ImageUnpackerError {
  return entryFault('SOURCE_UNSUPPORTED', path, why, cause);
}

/** An error about one entry of a source. */
export function entryFault(code: ErrorCode, path: Buffer, why: string, cause?: unknown): ImageUnpackerError {
  const shown = displayPath(path);
  return new ImageUnpackerError(code, `${shown} ${why}`, { path: shown }, cause);
}
