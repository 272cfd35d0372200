import { randomBytes } from 'node:crypto';
import { ImageUnpackerError } from '../image/error.js';
import type { ObjectParts } from '../store/object-parts.js';
import { partsOf } from '../store/object-parts.js';
import type { Store } from '../store/store.js';

/** Who lost the connection has so long to come again before what it has found or sent may be collected. */
const GRACE_MILLISECONDS = 10 * 60_000;
/** What comes without a lease is held as long as a request to follow may take. */
const IDLE_MILLISECONDS = 10_000;
const MAX_LEASES = 10_000;
const LEASE = /^[0-9a-f]{32}$/;

/** The use of the store by one caller: what was found, read or sent under it stays until it ends. */
export interface Lease {
  readonly id: string;
  readonly store: Store;
  readonly parts: ObjectParts;
}

interface Held {
  readonly opened: Promise<Lease>;
  users: number;
  timer: NodeJS.Timeout | undefined;
}

/** All leases of a server. Each has the store opened for itself, which keeps its objects from being collected. */
export class Leases {
  readonly #open: () => Promise<Store>;
  readonly #held = new Map<string, Held>();
  #isClosed = false;

  constructor(open: () => Promise<Store>) {
    this.#open = open;
  }

  get size(): number {
    return this.#held.size;
  }

  /** A name for a lease that nobody can guess. */
  static newId(): string {
    return randomBytes(16).toString('hex');
  }

  /** Does `work` under the lease of that name, which is begun if there is none; the empty name is everybody's. */
  async use<T>(id: string, work: (lease: Lease) => Promise<T>): Promise<T> {
    if (id !== '' && !LEASE.test(id)) throw new ImageUnpackerError('USAGE', `"${id}" is not the name of a lease`);
    const held = this.#take(id);
    try {
      return await work(await held.opened);
    } finally {
      held.users--;
      if (held.users === 0) this.#letGo(id, held);
    }
  }

  /** Ends all leases, once what is done under them has ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const [id, held] of this.#held) {
      clearTimeout(held.timer);
      this.#held.delete(id);
      await held.opened.then(
        ({ store }) => store.close(),
        () => undefined,
      );
    }
  }

  #take(id: string): Held {
    if (this.#isClosed) throw new ImageUnpackerError('STATE_BUSY', 'The image server is being stopped; try again');
    let held = this.#held.get(id);
    if (held === undefined) {
      if (this.#held.size >= MAX_LEASES)
        throw new ImageUnpackerError('STATE_BUSY', 'The image server has no room for another caller; try again later');
      const opened = this.#open().then(store => ({ id, store, parts: partsOf(store) }));
      opened.catch(() => {
        if (this.#held.get(id)?.opened === opened) this.#held.delete(id);
      });
      held = { opened, users: 0, timer: undefined };
      this.#held.set(id, held);
    }
    clearTimeout(held.timer);
    held.users++;
    return held;
  }

  #letGo(id: string, held: Held): void {
    if (this.#isClosed || this.#held.get(id) !== held) return;
    const end = (): void => {
      this.#held.delete(id);
      void held.opened.then(({ store }) => store.close()).catch(() => undefined);
    };
    held.timer = setTimeout(end, id === '' ? IDLE_MILLISECONDS : GRACE_MILLISECONDS);
    held.timer.unref();
  }
}
