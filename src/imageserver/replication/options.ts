import type { ImageUnpackerError } from '../../image/error.js';
import type { Store } from '../../store/store.js';

/** From where to where; the destination becomes what the source is. */
export interface Ends {
  source: Store;
  destination: Store;
}

/** Passed in, so that tests need not wait. */
export interface ReplicationClock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Resolves after so long, or sooner when the signal is aborted. */
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
}

/** What happens while a store is followed. Sizes are bytes, times seconds. */
export type ReplicationEvent =
  /** So many images are new or changed at the source. */
  | { kind: 'behind'; images: number }
  | { kind: 'progress'; image: string; objects: number; bytes: number }
  /** An image can be seen; the objects are those that travelled. */
  | { kind: 'image'; image: string; digest: string; objects: number; bytes: number; seconds: number }
  /** Its expiry or tags are other ones. */
  | { kind: 'changed'; image: string }
  | { kind: 'removed'; image: string }
  | { kind: 'channel'; channel: string; image: string | null }
  | { kind: 'disk-map'; imageDigest: string; diskDigest: string }
  /** An image, a channel or a disk map cannot be replicated; all others are. */
  | { kind: 'refused'; what: string; error: ImageUnpackerError }
  /** So many things could not be replicated when all was tried last. */
  | { kind: 'tried'; refused: number }
  /** Nothing was removed, though the source has no image: it may be another one than was meant. */
  | { kind: 'held'; images: number }
  /** It is tried again in so many seconds. */
  | { kind: 'failed'; error: ImageUnpackerError; retryInSeconds: number }
  /** All that the source has is here. */
  | { kind: 'caught-up' };

export interface ReplicationOptions {
  clock: ReplicationClock;
  signal: AbortSignal;
  /** Must not throw. */
  onEvent: (event: ReplicationEvent) => void;
}
