import type { Written } from './written-blocks.js';
import { WriteWatch } from './written-blocks.js';

/** What was written to a device while it was watched, which may have been more than once. */
export class WriteTally {
  readonly #device: string;
  #watch: WriteWatch | undefined;
  #written: Written = { bytes: 0, blocks: 0 };

  constructor(device: string) {
    this.#device = device;
  }

  get written(): Written {
    return this.#written;
  }

  /** Watches from now on, if nothing is watching already. */
  async begin(): Promise<void> {
    this.#watch ??= await WriteWatch.start(this.#device);
  }

  /** Ends the watch, if there is one. All that was written must have reached the device. */
  async end(): Promise<void> {
    const watch = this.#watch;
    if (watch === undefined) return;
    this.#watch = undefined;
    const { bytes, blocks } = await watch.stop();
    // Which blocks were written to in both of two watches is not known.
    this.#written = { bytes: this.#written.bytes + bytes, blocks: this.#written.bytes === 0 ? blocks : null };
  }
}
