/** So much is under way at once: a store may be far away, and each object takes it some round trips. */
const MOST = 48;
const MOST_BYTES = 16 << 20;

interface Work {
  bytes: number;
  ended: Promise<unknown>;
  take: () => Promise<void>;
}

/** Work that goes on at once, and whose results are taken in the order in which it was begun. */
export class InOrder {
  readonly #underWay: Work[] = [];
  #bytes = 0;

  /**
   * Adds work that holds so many bytes in memory; `take` is given its result once all before it has been taken. Waits while there is
   * too much of it. Throws what work before has failed with.
   */
  async add<T>(work: Promise<T>, bytes: number, take: (result: T) => void): Promise<void> {
    // It may fail long before its turn comes.
    work.catch(() => undefined);
    this.#underWay.push({
      bytes,
      ended: work,
      take: async () => {
        take(await work);
      },
    });
    this.#bytes += bytes;
    while (this.#underWay.length > MOST || this.#bytes > MOST_BYTES) await this.#takeFirst();
  }

  /** Takes the results of all. Throws what the first has failed with. */
  async finish(): Promise<void> {
    while (this.#underWay.length > 0) await this.#takeFirst();
  }

  /** After a failure: waits until nothing goes on any more. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#underWay.splice(0).map(({ ended }) => ended));
  }

  async #takeFirst(): Promise<void> {
    const first = this.#underWay.shift();
    if (first === undefined) return;
    this.#bytes -= first.bytes;
    await first.take();
  }
}
