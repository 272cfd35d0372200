import { ImageUnpackerError } from '../../image/error.js';
import { displayPath } from '../../image/path.js';

/** What a fault is about: the archive, and the entry once its name is known. */
export interface Place {
  archive: string;
  path?: Buffer;
}

/** The error of an archive that no writer makes: what its bytes say cannot be. */
export function damaged(place: Place, why: string): ImageUnpackerError {
  return fault('SOURCE_DAMAGED', place, `${why}; it is damaged, get or make it anew`);
}

/** The error of an entry that is well-formed and that no image can hold, or that readers disagree on. */
export function unsupported(place: Place, why: string): ImageUnpackerError {
  return fault('SOURCE_UNSUPPORTED', place, why);
}

function fault(
  code: 'SOURCE_DAMAGED' | 'SOURCE_UNSUPPORTED',
  { archive, path }: Place,
  why: string,
): ImageUnpackerError {
  if (path === undefined) return new ImageUnpackerError(code, `Cannot read ${archive}: ${why}`);
  const shown = displayPath(path);
  return new ImageUnpackerError(code, `Cannot read ${shown} in ${archive}: ${why}`, { path: shown });
}
