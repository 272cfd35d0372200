import type { CallOptions, UnpackerProgress } from '../rpc/unpacker.js';
import { Queue } from './queue.js';
import type { Advance } from './work.js';

type Listener = NonNullable<CallOptions['onProgress']>;

/** What goes on with one stream: one work at a time, and who waits for what. */
export class Activity {
  readonly #stream: string;
  readonly #queue = new Queue();
  readonly #listeners = new Set<Listener>();
  #progress: UnpackerProgress | null = null;
  #movedAt = 0;
  #held = false;

  constructor(stream: string) {
    this.#stream = stream;
  }

  /** Whether nobody works or waits. */
  get idle(): boolean {
    return this.#queue.idle;
  }

  /** How far the work is; null when nothing is being done. */
  get progress(): UnpackerProgress | null {
    return this.#progress;
  }

  /** Since when (`performance.now`) the work has not moved on; undefined when none is to be expected to. */
  get stillSince(): number | undefined {
    return this.#progress === null || this.#held ? undefined : this.#movedAt;
  }

  /** Does `work` in its turn. Who waits, too, is told how far the work before it is. */
  async run<T>(signal: AbortSignal, listener: Listener | undefined, work: () => Promise<T>): Promise<T> {
    if (listener !== undefined) this.#listeners.add(listener);
    const tellWaiting = (): void => {
      if (this.#progress !== null) listener?.(this.#progress);
    };
    try {
      return await this.#queue.run(signal, tellWaiting, async () => {
        this.advance({ step: 'Starting', done: 0, total: null, unit: null });
        try {
          return await work();
        } finally {
          this.#progress = null;
          this.#held = false;
        }
      });
    } finally {
      if (listener !== undefined) this.#listeners.delete(listener);
    }
  }

  /** The work is as far as this. */
  advance(advance: Advance): void {
    const { step, done } = advance;
    if (this.#progress?.step !== step || this.#progress.done !== done) this.#movedAt = performance.now();
    this.#progress = { stream: this.#stream, ...advance };
    for (const listener of this.#listeners) listener(this.#progress);
  }

  /** The work waits for its caller. */
  hold(): void {
    this.#held = true;
  }
}
