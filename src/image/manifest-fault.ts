import { ImageUnpackerError } from './error.js';
import { displayPath } from './path.js';

/** The error of a manifest with an entry that no image has. `what` goes on where the path ends. */
export function manifestFault(path: Buffer, what: string): ImageUnpackerError {
  const shown = displayPath(path);
  return new ImageUnpackerError('IMAGE_INVALID', `The manifest is not valid: ${shown} ${what}`, {
    path: shown,
  });
}

/** The error of an index whose counts are not those of its entries. */
export function miscounted(): ImageUnpackerError {
  return new ImageUnpackerError(
    'IMAGE_INVALID',
    'The index of the manifest does not count its entries right',
  );
}
