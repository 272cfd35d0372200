import type { ProgressSink, ProgressUnit, Step } from '../image/progress.js';
import type { Advance } from './work.js';

/** More often than the second that is promised, and seldom enough to cost nothing. */
const TELL_MILLISECONDS = 250;

/** Tells now and then how far the step is that began last of those that run. */
export class ProgressTeller implements ProgressSink {
  readonly #tell: (advance: Advance) => void;
  readonly #steps = new Set<Advance>();
  readonly #timer: NodeJS.Timeout;
  #last: Advance = { step: 'Starting', done: 0, total: null, unit: null };

  constructor(tell: (advance: Advance) => void) {
    this.#tell = tell;
    this.#timer = setInterval(() => {
      this.#tellLast();
    }, TELL_MILLISECONDS);
  }

  step(what: string, unit?: ProgressUnit, total?: number): Step {
    const advance: Advance = { step: what, done: 0, total: total ?? null, unit: unit ?? null };
    this.#steps.add(advance);
    this.#tellLast();
    return {
      update: done => {
        advance.done = done;
      },
      end: () => {
        this.#steps.delete(advance);
      },
    };
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tellLast(): void {
    // Between two steps what was done last is still the best that can be said.
    this.#last = [...this.#steps].at(-1) ?? this.#last;
    this.#tell({ ...this.#last });
  }
}
