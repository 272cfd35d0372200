import type { Written } from './written-blocks.js';
import { WriteWatch } from './written-blocks.js';

/** What was written to a device while it was watched, which may have been more than once. */
export class WriteTally {
  readonly #device: string;
  #watch: Promise<WriteWatch> | undefined;
  #written: Written = { bytes: 0, blocks: 0 };

  constructor(device: string) {
    this.#device = device;
  }

  get written(): Written {
    return this.#written;
  }

  /** Watches from now on, if nothing is watching already. */
  async begin(): Promise<void> {
    this.#watch ??= WriteWatch.start(this.#device);
    await this.#watch;
  }

  /** Ends the watch, if there is one. All that was written must have reached the device. */
  async end(): Promise<void> {
    const begun = this.#watch;
    this.#watch = undefined;
    // Whoever began it was told that it failed.
    const watch = await begun?.catch(() => undefined);
    if (watch === undefined) return;
    const { bytes, blocks } = await watch.stop();
    // Which blocks were written to in both of two watches is not known.
    this.#written = { bytes: this.#written.bytes + bytes, blocks: this.#written.bytes === 0 ? blocks : null };
  }
}
