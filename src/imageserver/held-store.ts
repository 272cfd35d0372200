import { ImageUnpackerError } from '../image/error.js';
import type { ObjectParts } from '../store/object-parts.js';
import { partsOf } from '../store/object-parts.js';
import type { Store } from '../store/store.js';

/** What was asked for, read or sent stays so long at least: who uploads comes again within it. */
const IDLE_MILLISECONDS = 60_000;

/** The store, open: what is found, read or stored stays there. */
export interface Lease {
  readonly store: Store;
  readonly parts: ObjectParts;
}

interface Held {
  readonly opened: Promise<Lease>;
  users: number;
  timer: NodeJS.Timeout | undefined;
}

/**
 * The store of a server, opened when it is needed, and closed when nobody has needed it for a while: while it is open its
 * objects are not collected.
 */
export class HeldStore {
  readonly #open: () => Promise<Store>;
  #held: Held | undefined;
  #isClosed = false;

  constructor(open: () => Promise<Store>) {
    this.#open = open;
  }

  /** Does `work` with the store. Throws `STATE_BUSY` once the server is being stopped. */
  async use<T>(work: (lease: Lease) => Promise<T>): Promise<T> {
    if (this.#isClosed)
      throw new ImageUnpackerError('STATE_BUSY', 'The image server is being stopped; try again');
    const held = this.#take();
    try {
      return await work(await held.opened);
    } finally {
      held.users--;
      if (held.users === 0) {
        if (this.#held === held) this.#letGo(held);
        else void closeHeld(held);
      }
    }
  }

  /** Has the store opened anew for whoever uses it next: what was noted to be damaged is removed then. */
  renew(): void {
    const held = this.#held;
    this.#held = undefined;
    clearTimeout(held?.timer);
    if (held?.users === 0) void closeHeld(held);
  }

  /** Closes the store, whatever is done with it. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const held = this.#held;
    this.#held = undefined;
    clearTimeout(held?.timer);
    const lease = await held?.opened.catch(() => undefined);
    await lease?.store.close();
  }

  #take(): Held {
    if (this.#held === undefined) {
      const opened = this.#open().then(store => ({ store, parts: partsOf(store) }));
      const held: Held = { opened, users: 0, timer: undefined };
      opened.catch(() => {
        if (this.#held === held) this.#held = undefined;
      });
      this.#held = held;
    }
    clearTimeout(this.#held.timer);
    this.#held.users++;
    return this.#held;
  }

  #letGo(held: Held): void {
    held.timer = setTimeout(() => {
      if (this.#held === held) this.#held = undefined;
      void closeHeld(held);
    }, IDLE_MILLISECONDS);
    held.timer.unref();
  }
}

/** What is not given back in order the end of the process gives back. */
async function closeHeld({ opened }: Held): Promise<void> {
  await opened.then(({ store }) => store.close()).catch(() => undefined);
}
