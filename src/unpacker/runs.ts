import { randomBytes } from 'node:crypto';
import { cancelled, ImageUnpackerError } from '../image/error.js';
import type { CallOptions, UnpackerProgress } from '../rpc/unpacker.js';
import { Activity } from './activity.js';
import type { Work } from './work.js';
import { WorkerProcess } from './worker-process.js';

/** Where an agent says what it does; a logger of pino is one. */
export interface AgentLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** One thing that is done with a stream. */
export interface Run {
  /** Aborted when the caller has had enough, or the agent stops. */
  readonly signal: AbortSignal;
  /** Starts a worker, whose progress is that of the run. */
  start(this: void, work: Work, signal?: AbortSignal): WorkerProcess;
  /** From now on the run waits for its caller. */
  hold(this: void): void;
}

/** What runs are made with. */
export interface RunsOptions {
  /** The open file of the lock that workers inherit. */
  lock: number;
  log: AgentLog;
  /** Called when a run of a stream has ended, however. */
  onEnd: (stream: string) => void;
}

/** All that an agent does: for each stream one thing at a time, different streams at once. */
export class Runs {
  readonly #options: RunsOptions;
  readonly #activities = new Map<string, Activity>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #stopping = new AbortController();

  constructor(options: RunsOptions) {
    this.#options = options;
  }

  /** Does something with a stream in its turn. `what` is its name in the log. */
  async run<T>(
    what: string,
    stream: string,
    { signal: callers, onProgress }: CallOptions,
    work: (run: Run) => Promise<T>,
  ): Promise<T> {
    const signal = AbortSignal.any([this.#stopping.signal, ...(callers === undefined ? [] : [callers])]);
    const activity = this.#activities.get(stream) ?? new Activity(stream);
    this.#activities.set(stream, activity);
    const running = activity.run(signal, onProgress, () =>
      this.#logged(what, stream, activity, signal, work),
    );
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
      if (activity.idle) this.#activities.delete(stream);
    }
  }

  /** How far the work on a stream is, null when there is none. */
  progressOf(stream: string): UnpackerProgress | null {
    return this.#activities.get(stream)?.progress ?? null;
  }

  /** Streams whose work has not moved on for so many seconds. */
  stalled(seconds: number): string[] {
    const since = performance.now() - seconds * 1000;
    return [...this.#activities]
      .filter(([, activity]) => (activity.stillSince ?? Infinity) < since)
      .map(([stream]) => stream);
  }

  /** Stops everything, and waits until it has been put in order. */
  async stop(): Promise<void> {
    this.#stopping.abort(cancelled());
    await Promise.allSettled(this.#running);
  }

  async #logged<T>(
    what: string,
    stream: string,
    activity: Activity,
    signal: AbortSignal,
    work: (run: Run) => Promise<T>,
  ): Promise<T> {
    const { log, lock, onEnd } = this.#options;
    // Runs are told apart in the log by this.
    const fields = { stream, run: randomBytes(4).toString('hex') };
    const began = performance.now();
    const seconds = (): number => Math.round(performance.now() - began) / 1000;
    const start: Run['start'] = (task, stop = signal) => {
      const onAdvance = activity.advance.bind(activity);
      const worker = new WorkerProcess(task, { lock, signal: stop, onAdvance });
      log.info({ ...fields, pid: worker.pid, volume: task.volume.path }, `${what} begins`);
      return worker;
    };
    try {
      const result = await work({ signal, start, hold: activity.hold.bind(activity) });
      log.info({ ...fields, seconds: seconds() }, `${what} done`);
      return result;
    } catch (reason) {
      const { code, message } = ImageUnpackerError.from(reason, 'Something unforeseen happened');
      log.warn({ ...fields, seconds: seconds(), code, reason: message }, `${what} failed`);
      throw reason;
    } finally {
      onEnd(stream);
    }
  }
}
