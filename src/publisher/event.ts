import type { ProgressUnit } from '../image/progress.js';
import type { ResultRow } from './row.js';

/**
 * The parts of publishing, as they are timed in a row: `unpack` and `capture` are done once for all targets,
 * `disk` and `register` for each. With the strategy `snapshot` each target has `unpacker`, `volume`, `unpack`,
 * `snapshot` and `register`.
 */
export const STAGES = ['unpack', 'capture', 'disk', 'register', 'unpacker', 'volume', 'snapshot'] as const;
export type StageName = (typeof STAGES)[number];

/** What happens while an image is published. `target` is null for what is done for all of them. */
export type PublishEvent = { readonly time: string } & (
  | {
      readonly type: 'run';
      readonly run: string;
      readonly image: string;
      readonly targets: readonly string[];
    }
  | { readonly type: 'begin'; readonly target: string | null; readonly stage: StageName }
  | {
      readonly type: 'progress';
      readonly target: string | null;
      readonly stage: StageName;
      /** What is being done, for people. */
      readonly what: string;
      readonly done: number;
      readonly total: number | null;
      readonly unit: ProgressUnit | null;
    }
  | {
      readonly type: 'end';
      readonly target: string | null;
      readonly stage: StageName;
      readonly seconds: number;
      readonly error: string | null;
    }
  | { readonly type: 'note'; readonly target: string | null; readonly message: string }
  | { readonly type: 'result'; readonly row: ResultRow }
);

type Untimed<E> = E extends PublishEvent ? Omit<E, 'time'> : never;

/** Half of what is promised, so that a timer that comes late keeps the promise. */
const TELL_MILLISECONDS = 500;

/** A stage that is going on. */
export interface RunningStage {
  progress(what: string, done: number, total: number | null, unit: ProgressUnit | null): void;
  /** Ends the stage; returns how many seconds it took. */
  end(error?: string): number;
}

/** Tells of what happens, at least once a second while anything does. */
export class Reporter {
  readonly #onEvent: (event: PublishEvent) => void;
  readonly #now: () => Date;
  readonly #latest = new Map<object, () => void>();
  #timer: NodeJS.Timeout | undefined;

  constructor(onEvent: ((event: PublishEvent) => void) | undefined, now: () => Date) {
    this.#onEvent = onEvent ?? (() => undefined);
    this.#now = now;
  }

  tell(event: Untimed<PublishEvent>): void {
    this.#onEvent({ time: this.#now().toISOString(), ...event });
  }

  begin(target: string | null, stage: StageName): RunningStage {
    const key = {};
    const began = performance.now();
    let state = { what: '', done: 0, total: null as number | null, unit: null as ProgressUnit | null };
    this.tell({ type: 'begin', target, stage });
    this.#latest.set(key, () => {
      this.tell({ type: 'progress', target, stage, ...state });
    });
    this.#timer ??= setInterval(() => {
      for (const tell of this.#latest.values()) tell();
    }, TELL_MILLISECONDS);
    return {
      progress: (what, done, total, unit) => {
        state = { what, done, total, unit };
      },
      end: error => {
        const seconds = Math.round(performance.now() - began) / 1000;
        if (!this.#latest.delete(key)) return seconds;
        if (this.#latest.size === 0) this.#rest();
        this.tell({ type: 'end', target, stage, seconds, error: error ?? null });
        return seconds;
      },
    };
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
