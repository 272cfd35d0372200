import { manifestFault } from '../image/manifest-fault.js';
import { isNativeError } from '../native.js';

/** The result of native work on pages. Throws `IMAGE_INVALID` when one of them is not as it must be. */
export async function onPages<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (reason) {
    if (!isNativeError(reason) || reason.code !== 'EBADMSG') throw reason;
    throw manifestFault(
      reason.path ?? Buffer.alloc(0),
      'stands in a page that is not well-formed, or not as its index says',
    );
  }
}
