import { ImageUnpackerError } from '../../image/error.js';
import type { Store } from '../../store/store.js';
import type { Ends, ReplicationClock, ReplicationEvent, ReplicationOptions } from './options.js';
import { replicate } from './replicate.js';

/** So often the source is asked whether it has changed: a chain of three takes little more than half a second. */
const POLL_MILLISECONDS = 200;
/** The destination may have been changed by somebody else; this finds it. */
const LOOK_ALL_MILLISECONDS = 60_000;
/** Waits before it is tried again after a failure, doubled each time up to the longest. */
const FIRST_RETRY_MILLISECONDS = 500;
const LONGEST_RETRY_MILLISECONDS = 30_000;

export interface FollowOptions extends ReplicationOptions {
  /** Called when a pass is over, and nothing of the two stores is in use: locks can be given back. */
  onQuiet?: (() => Promise<void>) | undefined;
  pollMilliseconds?: number | undefined;
  /** From 0 to 1: many replicas of one source that comes back do not come at the same moment. */
  random?: (() => number) | undefined;
}

/**
 * Keeps the destination what the source is, as soon as that changes, until the signal is aborted, when it resolves. What
 * fails is told and tried again for ever: a source that is away is caught up with when it is back.
 */
export async function follow(source: Store, destination: Store, options: FollowOptions): Promise<void> {
  const follower = new Follower({ source, destination }, options);
  while (!options.signal.aborted) await follower.turn();
}

/** The time of this machine. */
export const SYSTEM_CLOCK: ReplicationClock = {
  now: Date.now,
  sleep: async (milliseconds, signal) =>
    new Promise(resolve => {
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        resolve();
      };
      const timer = setTimeout(end, milliseconds);
      if (signal.aborted) end();
      else signal.addEventListener('abort', end);
    }),
};

class Follower {
  readonly #ends: Ends;
  readonly #options: FollowOptions;
  /** The revision of the source that was replicated last. */
  #done: string | undefined;
  /** When all is looked at again, whether the source has changed or not. */
  #due = 0;
  #failures = 0;
  #isTold = false;
  /** Whether the source was seen to have images: that it has none from then on is no mistake. */
  #hadImages = false;

  constructor(ends: Ends, options: FollowOptions) {
    this.#ends = ends;
    this.#options = options;
  }

  /** One look at the source, a pass if it is due, and a wait. */
  async turn(): Promise<void> {
    const { clock, signal, pollMilliseconds = POLL_MILLISECONDS } = this.#options;
    let wait = pollMilliseconds;
    try {
      const seen = await this.#ends.source.revision();
      if (seen !== this.#done || clock.now() >= this.#due) await this.#pass(seen);
    } catch (reason) {
      // Who ended it knows.
      if (signal.aborted) return;
      wait = this.#failed(reason);
    }
    await clock.sleep(wait, signal);
  }

  async #pass(seen: string): Promise<void> {
    const { clock, onQuiet } = this.#options;
    let isOver = false;
    try {
      const tally = await replicate(this.#ends, this.#options, this.#hadImages);
      if (tally.images > 0) this.#hadImages = true;
      const isAll = !tally.raced && tally.refused === 0 && !tally.held;
      this.#done = tally.raced ? undefined : seen;
      this.#failures = tally.refused > 0 ? this.#failures + 1 : 0;
      this.#due = clock.now() + (tally.refused > 0 ? this.#retryMilliseconds() : LOOK_ALL_MILLISECONDS);
      if (isAll && (tally.changes > 0 || !this.#isTold)) this.#tell({ kind: 'caught-up' });
      this.#isTold = isAll;
      isOver = true;
    } finally {
      // What failed first is what is thrown.
      await onQuiet?.().catch((reason: unknown) => {
        if (isOver) throw reason;
      });
    }
  }

  #failed(reason: unknown): number {
    this.#failures++;
    this.#isTold = false;
    this.#done = undefined;
    const wait = this.#retryMilliseconds();
    const { location } = this.#ends.source;
    const error = ImageUnpackerError.from(reason, `Cannot replicate ${location}`);
    this.#tell({ kind: 'failed', error, retryInSeconds: wait / 1000 });
    return wait;
  }

  #retryMilliseconds(): number {
    const { random = Math.random } = this.#options;
    const doubled = FIRST_RETRY_MILLISECONDS * 2 ** Math.min(this.#failures - 1, 10);
    return Math.min(doubled, LONGEST_RETRY_MILLISECONDS) * (0.5 + random() / 2);
  }

  #tell(event: ReplicationEvent): void {
    this.#options.onEvent(event);
  }
}
