import { ImageUnpackerError } from '../image/error.js';
import type { OnDamaged } from './store.js';

/** Whether something failed because an image in a store is not as it was put there. */
export function isDamage(reason: unknown): reason is ImageUnpackerError {
  return reason instanceof ImageUnpackerError && ['STORE_DAMAGED', 'IMAGE_INVALID'].includes(reason.code);
}

/** What `read` resolves to; where it is damaged, undefined, and it is told, if there is somebody to tell. */
export async function unlessDamaged<T>(
  name: string,
  onDamaged: OnDamaged | undefined,
  read: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (reason) {
    if (onDamaged === undefined || !isDamage(reason)) throw reason;
    onDamaged(name, reason);
    return undefined;
  }
}
