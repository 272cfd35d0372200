import { throwIfAborted } from '../../image/error.js';

/** What a source tells of its revision, for who has time for it now and then. */
export class RevisionWatch {
  readonly #over = new AbortController();
  #latest: string | undefined;
  #failure: { reason: unknown } | undefined;
  /** Aborted when something is told. */
  #told = new AbortController();

  constructor(watch: (signal: AbortSignal) => AsyncIterable<string>, signal: AbortSignal) {
    void this.#read(watch(AbortSignal.any([this.#over.signal, signal])));
  }

  /**
   * The revision as soon as it is another one than `known`, or whatever it is when `wait` is over, which ends at once when
   * its signal is aborted; the first is always waited for. Throws why the source tells nothing any more.
   */
  async next(known: string | undefined, wait: (told: AbortSignal) => Promise<void>): Promise<string> {
    for (let isOver = false; ;) {
      if (this.#failure !== undefined) throw this.#failure.reason;
      if (this.#latest !== undefined && (isOver || this.#latest !== known)) return this.#latest;
      throwIfAborted(this.#over.signal);
      const told = this.#told.signal;
      if (this.#latest === undefined) await once(told);
      else await wait(told);
      isOver = !told.aborted;
    }
  }

  end(): void {
    this.#over.abort();
    this.#tell();
  }

  async #read(revisions: AsyncIterable<string>): Promise<void> {
    try {
      for await (const revision of revisions) {
        this.#latest = revision;
        this.#tell();
      }
      this.#failure = { reason: new Error('The source tells no more of its changes') };
    } catch (reason) {
      this.#failure = { reason };
    }
    this.#tell();
  }

  #tell(): void {
    const told = this.#told;
    this.#told = new AbortController();
    told.abort();
  }
}

async function once(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>(resolve => {
    signal.addEventListener(
      'abort',
      () => {
        resolve();
      },
      { once: true },
    );
  });
}
