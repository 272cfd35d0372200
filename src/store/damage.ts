import { ImageUnpackerError } from '../image/error.js';

/** Whether something failed because an image in a store is not as it was put there. */
export function isDamage(reason: unknown): reason is ImageUnpackerError {
  return reason instanceof ImageUnpackerError && ['STORE_DAMAGED', 'IMAGE_INVALID'].includes(reason.code);
}
