import { syncFileSystem } from '../../native.js';

/** So much is stored before it is written: less costs more calls, more leaves more to wait for in the end. */
const EARLY_BYTES = 64 << 20;

/**
 * Has what is stored written to the disk while more of it comes, so that little is left when it has to be durable: else the
 * kernel waits for half a minute, and an upload takes as long as the network and the disk one after the other.
 */
export class EarlySync {
  readonly #sync: (directory: number) => Promise<void>;
  #unwritten = 0;
  #work: Promise<void> | undefined;
  #failure: { reason: unknown } | undefined;

  /** `sync` makes the file system of a directory durable. */
  constructor(sync = syncFileSystem) {
    this.#sync = sync;
  }

  /** Told of `bytes` that were stored in the file system of `directory`, which stays open until `end`. */
  stored(directory: number, bytes: number): void {
    this.#unwritten += bytes;
    if (this.#unwritten < EARLY_BYTES || this.#work !== undefined) return;
    this.#unwritten = 0;
    this.#work = this.#sync(directory)
      .catch((reason: unknown) => {
        // The kernel tells of it only once (syncfs(2)).
        this.#failure ??= { reason };
      })
      .finally(() => (this.#work = undefined));
  }

  /** Waits for what is under way. Throws, once, what was not written. */
  async end(): Promise<void> {
    await this.#work;
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure.reason;
  }
}
