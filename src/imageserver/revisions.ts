import { setTimeout as sleep } from 'node:timers/promises';
import type { Store } from '../store/store.js';

/** So often the store is looked at while somebody watches: another process may change it. */
const LOOK_MILLISECONDS = 200;

/** The revision of a store, looked at once for all who watch it, and at once after a change that was made here. */
export class Revisions {
  readonly #store: Store;
  readonly #milliseconds: number;
  #woken = new AbortController();
  #look: Promise<string> | undefined;

  constructor(store: Store, milliseconds = LOOK_MILLISECONDS) {
    this.#store = store;
    this.#milliseconds = milliseconds;
  }

  /** Something was changed. */
  poke(): void {
    // A look that has begun may not see it.
    this.#look = undefined;
    this.#woken.abort();
    this.#woken = new AbortController();
  }

  /** The revision, at once and whenever it has changed, until the signal is aborted. */
  async *watch(signal: AbortSignal): AsyncGenerator<string, void, undefined> {
    for (let last: string | undefined; !signal.aborted;) {
      const woken = this.#woken.signal;
      const revision = await this.#now();
      if (revision !== last) yield revision;
      last = revision;
      const stopped = AbortSignal.any([signal, woken]);
      await sleep(this.#milliseconds, undefined, { signal: stopped }).catch(() => undefined);
    }
  }

  /** What one finds who looks now, or who began to look just now. */
  async #now(): Promise<string> {
    if (this.#look !== undefined) return this.#look;
    const look = this.#store.revision().finally(() => {
      if (this.#look === look) this.#look = undefined;
    });
    this.#look = look;
    return look;
  }
}
