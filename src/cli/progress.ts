import type { ProgressSink, ProgressUnit, Step } from '../image/progress.js';
import { showCount, showDuration, showSize, showText } from './show.js';
import type { StatusLine } from './status-line.js';

/** Time, given from outside so that tests need not wait for it. */
export interface Clock {
  /** Milliseconds that never go back. */
  now(): number;
  /** Calls `action` every so many milliseconds until what is returned is called. Keeps no process alive. */
  every(milliseconds: number, action: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  every(milliseconds, action) {
    const timer = setInterval(action, milliseconds).unref();
    return () => {
      clearInterval(timer);
    };
  },
};

/** Where progress is shown: on a line of a terminal that changes, or as lines now and then. */
export type ProgressDisplay =
  { kind: 'terminal'; line: StatusLine } | { kind: 'lines'; print: (line: string) => void };

/** A step that takes no longer than this is not worth a word. */
const WORTH_SHOWING = 1000;
/** Fast enough to look alive, slow enough to cost nothing. */
const REDRAW_EVERY = 200;
const LINE_EVERY = 5000;
/** The rate is of the last seconds, so that it follows a change and does not jump. */
const RATE_OVER = 5000;

interface RunningStep {
  what: string;
  unit: ProgressUnit | undefined;
  total: number | undefined;
  began: number;
  done: number;
  lastLine: number;
  /** What was done when, oldest first, no older than `RATE_OVER`. */
  samples: { at: number; done: number }[];
}

/**
 * Shows the steps of a program as they go on. Drawing is by the clock alone, so `update` may be called
 * as often as one likes. Of several steps at once a terminal shows the one that began last.
 */
export class Progress implements ProgressSink {
  readonly #display: ProgressDisplay;
  readonly #clock: Clock;
  readonly #steps = new Set<RunningStep>();
  #stopClock: (() => void) | undefined;

  constructor(display: ProgressDisplay, clock: Clock = systemClock) {
    this.#display = display;
    this.#clock = clock;
  }

  step(what: string, unit?: ProgressUnit, total?: number): Step {
    const began = this.#clock.now();
    const step: RunningStep = {
      what: showText(what),
      unit,
      total,
      began,
      done: 0,
      lastLine: began,
      samples: [{ at: began, done: 0 }],
    };
    this.#steps.add(step);
    this.#stopClock ??= this.#clock.every(REDRAW_EVERY, () => {
      this.#tick();
    });
    return {
      update: done => {
        step.done = done;
      },
      end: () => {
        this.#end(step);
      },
    };
  }

  /** Forgets every step that still runs and leaves the terminal clean. */
  stop(): void {
    this.#steps.clear();
    this.#rest();
  }

  #end(step: RunningStep): void {
    if (!this.#steps.delete(step)) return;
    const took = this.#clock.now() - step.began;
    if (this.#display.kind === 'lines' && took > WORTH_SHOWING) this.#display.print(showEnd(step, took));
    if (this.#display.kind === 'terminal') this.#display.line.erase();
    if (this.#steps.size === 0) this.#rest();
  }

  #rest(): void {
    this.#stopClock?.();
    this.#stopClock = undefined;
    if (this.#display.kind === 'terminal') this.#display.line.erase();
  }

  #tick(): void {
    const now = this.#clock.now();
    const display = this.#display;
    let newest: RunningStep | undefined;
    for (const step of this.#steps) {
      sample(step, now);
      if (now - step.began > WORTH_SHOWING) newest = step;
      if (display.kind !== 'lines' || now - step.lastLine < LINE_EVERY) continue;
      step.lastLine = now;
      const [what, ...rest] = showStep(step, now);
      display.print(`${what}: ${rest.join(', ')}`);
    }
    if (display.kind === 'terminal' && newest !== undefined) {
      display.line.draw(showBar(newest, now, display.line.width));
    }
  }
}

function sample(step: RunningStep, now: number): void {
  step.samples.push({ at: now, done: step.done });
  while (step.samples.length > 2 && step.samples[0]!.at < now - RATE_OVER) step.samples.shift();
}

/** Units a second over the last seconds. */
function rateOf(step: RunningStep): number {
  const first = step.samples[0]!;
  const last = step.samples.at(-1)!;
  return last.at === first.at ? 0 : ((last.done - first.done) * 1000) / (last.at - first.at);
}

/** How much of a step is done, 0 to 1, if its total is known. A total that was too small is passed over. */
function fractionOf(step: RunningStep): number | undefined {
  if (step.total === undefined || step.total <= 0) return undefined;
  return Math.min(step.done / step.total, 1);
}

function showAmount(amount: number, unit: ProgressUnit): string {
  return unit === 'bytes' ? showSize(amount) : `${showCount(Math.round(amount))} ${unit}`;
}

/** What is said of a running step, the most important part first. */
function showStep(step: RunningStep, now: number): [string, ...string[]] {
  const { what, unit, total, done } = step;
  if (unit === undefined) return [what, showDuration((now - step.began) / 1000)];
  const rate = rateOf(step);
  const fraction = fractionOf(step);
  const parts: [string, ...string[]] = [what];
  if (total === undefined || fraction === undefined) parts.push(showAmount(done, unit));
  else
    parts.push(
      `${String(Math.floor(fraction * 100))} %`,
      `${showNumber(done, unit)} of ${showAmount(total, unit)}`,
    );
  if (rate > 0) parts.push(`${showAmount(rate, unit)}/s`);
  if (rate > 0 && total !== undefined && done < total) {
    parts.push(`${showDuration(Math.ceil((total - done) / rate))} left`);
  }
  return parts;
}

function showNumber(done: number, unit: ProgressUnit): string {
  return unit === 'bytes' ? showSize(done) : showCount(done);
}

function showEnd(step: RunningStep, took: number): string {
  const amount = step.unit === undefined ? '' : `${showAmount(step.done, step.unit)} in `;
  return `${step.what}: ${amount}${showDuration(took / 1000)}`;
}

const GAP = '  ';
const LONGEST_BAR = 30;
const SHORTEST_BAR = 10;

/** One line of at most `width` characters. When it gets narrow the amounts give way, then the bar, then the end. */
function showBar(step: RunningStep, now: number, width: number): string {
  const fraction = fractionOf(step);
  const [what, ...rest] = showStep(step, now);
  if (fraction !== undefined) {
    const [percent = '', , ...speed] = rest;
    for (const parts of [rest, [percent, ...speed]]) {
      const room = width - [what, '[]', ...parts].join(GAP).length;
      if (room < SHORTEST_BAR) continue;
      return [what, drawBar(fraction, Math.min(room, LONGEST_BAR)), ...parts].join(GAP);
    }
  }
  const parts = [what, ...rest];
  while (parts.length > 1 && parts.join(GAP).length > width) parts.pop();
  return parts.join(GAP).slice(0, Math.max(width, 0));
}

function drawBar(fraction: number, length: number): string {
  const full = Math.floor(fraction * length);
  return `[${'='.repeat(full)}${' '.repeat(length - full)}]`;
}
