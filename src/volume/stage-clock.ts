/** The stages of an unpack. */
export type Stage = 'plan' | 'scan' | 'fetch' | 'apply' | 'settle';

/** Seconds for each stage, and for all of it. */
export type StageSeconds = Record<Stage | 'total', number>;

/** Tells how long each stage took. A stage may be entered again; its times add up. */
export class StageClock {
  readonly #now: () => number;
  readonly #start: number;
  readonly #seconds: Record<Stage, number> = { plan: 0, scan: 0, fetch: 0, apply: 0, settle: 0 };
  #stage: Stage = 'plan';
  #since: number;

  /** `now` gives milliseconds that never go back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#start = now();
    this.#since = this.#start;
  }

  /** Ends the stage before and begins another. */
  enter(stage: Stage): void {
    const now = this.#now();
    this.#seconds[this.#stage] += (now - this.#since) / 1000;
    this.#stage = stage;
    this.#since = now;
  }

  /** The seconds until now, to the millisecond. */
  seconds(): StageSeconds {
    this.enter(this.#stage);
    const rounded = (seconds: number): number => Math.round(seconds * 1000) / 1000;
    const { plan, scan, fetch, apply, settle } = this.#seconds;
    return {
      total: rounded((this.#since - this.#start) / 1000),
      plan: rounded(plan),
      scan: rounded(scan),
      fetch: rounded(fetch),
      apply: rounded(apply),
      settle: rounded(settle),
    };
  }
}
