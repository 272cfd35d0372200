import type { Parallelism } from './parallelism.js';
import { Slots } from './slots.js';

/** A snapshot has so many blocks at hand at least, so that the next one goes as soon as one has arrived. */
const FEWEST = 2;

/** How many blocks are on their way at once, of all snapshots that a command sends blocks to. */
export class SendingLimits {
  readonly #perSnapshot: number;
  readonly #together: number;
  readonly #slots: Slots;
  #senders = 0;

  constructor({ perSnapshot, together }: Parallelism) {
    this.#perSnapshot = perSnapshot;
    this.#together = together;
    this.#slots = new Slots(together);
  }

  /**
   * How many blocks one of the snapshots may have at hand, those that wait for their turn included: twice what can be on
   * their way, by the number of snapshots. What waits takes memory, and goes no sooner for it.
   */
  get atHand(): number {
    const share = Math.ceil((2 * this.#together) / Math.max(1, this.#senders));
    return Math.max(FEWEST, Math.min(this.#perSnapshot, share));
  }

  /** Does what sends all blocks of a snapshot. */
  async sending<T>(work: () => Promise<T>): Promise<T> {
    this.#senders++;
    try {
      return await work();
    } finally {
      this.#senders--;
    }
  }

  /** Does what sends one block, when it is its turn. */
  within<T>(work: () => Promise<T>): Promise<T> {
    return this.#slots.within(work);
  }
}
