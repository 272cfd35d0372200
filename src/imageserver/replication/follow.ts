import { ImageUnpackerError } from '../../image/error.js';
import type { Store } from '../../store/store.js';
import type { ReplicationClock, ReplicationOptions } from './options.js';
import { replicate } from './replicate.js';
import { RevisionWatch } from './revision-watch.js';
import { SourceView } from './source-view.js';
import type { Tally } from './tally.js';

/** So often a source that does not tell is asked whether it has changed; after a pass the next one comes so much later. */
const POLL_MILLISECONDS = 200;
/** The destination may have been changed by somebody else; this finds it. */
const LOOK_ALL_MILLISECONDS = 60_000;
/** Waits before it is tried again after a failure, doubled each time up to the longest. */
const FIRST_RETRY_MILLISECONDS = 500;
const LONGEST_RETRY_MILLISECONDS = 30_000;

/**
 * A store, or how one is opened. What is opened here is closed here: a source when it has failed, so that it is connected to
 * anew, and a destination whenever a pass is over, so that nothing keeps it from being collected.
 */
export type End = Store | (() => Promise<Store>);

export interface FollowOptions extends ReplicationOptions {
  /** What the source is called until it could be opened. */
  sourceName?: string | undefined;
  pollMilliseconds?: number | undefined;
  /** From 0 to 1: many replicas of one source that comes back do not come at the same moment. */
  random?: (() => number) | undefined;
}

/**
 * Keeps the destination what the source is, as soon as that changes, until the signal is aborted, when it resolves. What
 * fails is told and tried again for ever: a source that is away is caught up with when it is back.
 */
export async function follow(source: End, destination: End, options: FollowOptions): Promise<void> {
  const follower = new Follower(source, destination, options);
  try {
    while (!options.signal.aborted) await follower.turn();
  } finally {
    await follower.end();
  }
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
  readonly #from: End;
  readonly #to: End;
  readonly #options: FollowOptions;
  /** What was opened of the source. */
  #source: Store | undefined;
  /** The revision of the source that was replicated last. */
  #done: string | undefined;
  /** When all is looked at again, whether the source has changed or not. */
  #due = 0;
  #failures = 0;
  #isTold = false;
  #watch: RevisionWatch | undefined;
  readonly #view = new SourceView();
  /** Whether the source was seen to have images: that it has none from then on is no mistake. */
  #hadImages = false;

  constructor(from: End, to: End, options: FollowOptions) {
    this.#from = from;
    this.#to = to;
    this.#options = options;
  }

  /** One look at the source, or a wait until it tells of a change; a pass if it is due, and a wait. */
  async turn(): Promise<void> {
    const { clock, signal, pollMilliseconds = POLL_MILLISECONDS } = this.#options;
    let wait = pollMilliseconds;
    try {
      this.#source ??= await opened(this.#from);
      const seen = await this.#revision(this.#source);
      if (seen !== this.#done || clock.now() >= this.#due) await this.#pass(this.#source, seen);
    } catch (reason) {
      // Who ended it knows.
      if (signal.aborted) return;
      wait = this.#failed(reason);
      await this.end();
    }
    await clock.sleep(wait, signal);
  }

  /** Lets go of the source. What fails in that says nothing that matters. */
  async end(): Promise<void> {
    const source = this.#source;
    this.#source = undefined;
    this.#watch?.end();
    this.#watch = undefined;
    if (typeof this.#from === 'function') await source?.close().catch(() => undefined);
  }

  /** The revision of the source: another one than was replicated last, unless all is to be looked at again. */
  async #revision(source: Store): Promise<string> {
    const { clock, signal } = this.#options;
    if (source.watchRevision === undefined) return source.revision();
    this.#watch ??= new RevisionWatch(until => source.watchRevision!(until), signal);
    return this.#watch.next(this.#done, changed =>
      clock.sleep(Math.max(0, this.#due - clock.now()), changed),
    );
  }

  async #pass(source: Store, seen: string): Promise<void> {
    const destination = await opened(this.#to);
    try {
      this.#took(await replicate({ source, destination }, this.#options, this.#hadImages, this.#view), seen);
    } finally {
      if (typeof this.#to === 'function') await destination.close();
    }
  }

  #took(tally: Tally & { images: number }, seen: string): void {
    const { clock, onEvent } = this.#options;
    if (tally.images > 0) this.#hadImages = true;
    const isAll = !tally.raced && tally.refused === 0 && !tally.held;
    this.#done = tally.raced ? undefined : seen;
    this.#failures = tally.refused > 0 ? this.#failures + 1 : 0;
    onEvent({ kind: 'tried', refused: tally.refused });
    this.#due = clock.now() + (tally.refused > 0 ? this.#retryMilliseconds() : LOOK_ALL_MILLISECONDS);
    if (isAll && (tally.changes > 0 || !this.#isTold)) onEvent({ kind: 'caught-up' });
    this.#isTold = isAll;
  }

  #failed(reason: unknown): number {
    this.#failures++;
    this.#isTold = false;
    this.#done = undefined;
    const wait = this.#retryMilliseconds();
    const { sourceName, onEvent } = this.#options;
    const name = this.#source?.location ?? sourceName ?? 'the source';
    const error = ImageUnpackerError.from(reason, `Cannot replicate ${name}`);
    onEvent({ kind: 'failed', error, retryInSeconds: wait / 1000 });
    return wait;
  }

  #retryMilliseconds(): number {
    const { random = Math.random } = this.#options;
    const doubled = FIRST_RETRY_MILLISECONDS * 2 ** Math.min(this.#failures - 1, 10);
    return Math.min(doubled, LONGEST_RETRY_MILLISECONDS) * (0.5 + random() / 2);
  }
}

async function opened(end: End): Promise<Store> {
  return typeof end === 'function' ? end() : end;
}
