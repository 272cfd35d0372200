import type { ErrorCode } from '../../image/error.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { Store } from '../../store/store.js';
import type { ReplicationOptions } from './options.js';

/** What is wrong with one image, and says nothing of the others. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'STORE_DAMAGED',
  'IMAGE_INVALID',
  'IMAGE_UNTRUSTED',
  'LIMIT_EXCEEDED',
]);

/** Somebody was quicker, at either end. */
const RACES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'IMAGE_UNKNOWN',
  'IMAGE_EXISTS',
  'IMAGE_CHANGED',
  'CHANNEL_CHANGED',
]);

/** What came of one pass. */
export class Tally {
  /** What is different at the destination. */
  changes = 0;
  /** What could not be replicated. */
  refused = 0;
  /** Whether something changed meanwhile, so that another pass is due at once. */
  raced = false;
  /** Whether nothing was removed, to be on the safe side. */
  held = false;
  readonly #onEvent: ReplicationOptions['onEvent'];

  constructor(onEvent: ReplicationOptions['onEvent']) {
    this.#onEvent = onEvent;
  }

  /** Does what is about one image or channel alone. Throws what is wrong with all. */
  async attempt(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (reason) {
      if (!(reason instanceof ImageUnpackerError)) throw reason;
      if (RACES.has(reason.code)) {
        this.raced = true;
      } else if (REFUSALS.has(reason.code)) {
        this.refuse(what, reason);
      } else throw reason;
    }
  }

  /** Takes note of what cannot be replicated. */
  refuse(what: string, error: ImageUnpackerError): void {
    this.refused++;
    this.#onEvent({ kind: 'refused', what, error });
  }

  /** Whether a store has an image. */
  async hasImage(store: Store, name: string): Promise<boolean> {
    try {
      await store.image(name);
      return true;
    } catch (reason) {
      const code = reason instanceof ImageUnpackerError ? reason.code : undefined;
      if (code === 'IMAGE_UNKNOWN') return false;
      // It is there, whatever is wrong with it.
      if (code !== undefined && REFUSALS.has(code)) return true;
      throw reason;
    }
  }
}
