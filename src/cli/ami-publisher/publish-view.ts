import type { PublishEvent, StageName } from '../../publisher/event.js';
import type { ProgressUnit } from '../../image/progress.js';
import { showCount, showCountOf, showDuration, showSize, showText } from '../show.js';
import type { LiveRow } from './live-table.js';
import { LiveTable } from './live-table.js';

/** The rate is of the last seconds, so that it follows a change and does not jump. */
const RATE_OVER = 5000;

/** How what became of a target begins, where it failed. */
const FAILED = 'failed: ';

const STAGE_WORDS: Readonly<Record<StageName, string>> = {
  unpack: 'unpacking',
  capture: 'capturing',
  disk: 'writing the disk',
  register: 'registering',
  unpacker: 'waiting for an unpacker',
  volume: 'preparing the volume',
  snapshot: 'waiting for the snapshot',
};

interface Stage {
  name: StageName;
  what: string;
  done: number;
  total: number | null;
  unit: ProgressUnit | null;
  began: number;
  /** What was done when, oldest first, no older than `RATE_OVER`. */
  samples: { at: number; done: number }[];
}

/** What is known of a publication, from its events alone, as people see it. */
export class PublishView {
  #run = '';
  /** What each target is at, or how it ended. */
  readonly #targets = new Map<string, Stage | string>();
  readonly #table = new LiveTable();
  /** What is done for all of them. */
  #shared: Stage | undefined;

  /** Takes in an event; returns what is worth a line that stays. */
  take(event: PublishEvent): string | undefined {
    const at = Date.parse(event.time);
    switch (event.type) {
      case 'run':
        for (const target of event.targets) this.#targets.set(target, '');
        this.#run = event.run;
        return `Run ${event.run}: ${showText(event.image)} to ${showCountOf(event.targets.length, 'target')}`;
      case 'begin':
        this.#set(event.target, newStage(event.stage, at));
        return undefined;
      case 'progress':
        advance(this.#stageOf(event.target), event, at);
        return undefined;
      case 'end':
        this.#end(event);
        if (event.error !== null) return undefined;
        return `${prefix(event.target)}${STAGE_WORDS[event.stage]}: ${showDuration(event.seconds)}`;
      case 'note':
        return `${prefix(event.target)}${showText(event.message)}`;
      case 'result':
        this.#targets.set(event.row.Target, endOf(event.row));
        return event.row.Error === undefined
          ? undefined
          : `${prefix(event.row.Target)}${showText(event.row.Error)}`;
    }
  }

  /** A line of how far each thing is that is going on. */
  lines(now: number): string[] {
    const running = [...this.#targets].flatMap(([target, stage]) =>
      typeof stage === 'string' ? [] : [{ target, stage }],
    );
    const shared = this.#shared === undefined ? [] : [{ target: null, stage: this.#shared }];
    return [...shared, ...running].map(({ target, stage }) => {
      const [what = '', amount = '', rate = '', left = ''] = cellsOf(stage, now);
      const more = [amount, rate, left === '' ? '' : `${left} left`];
      return `${prefix(target)}${[what, ...more].filter(cell => cell !== '').join(', ')}`;
    });
  }

  /** A table with a line for each target, as wide and as high as fits. */
  table(now: number, width: number, height: number): string {
    const rows = [...this.#targets].map(([target, stage]): LiveRow => {
      if (typeof stage === 'string' && stage !== '') {
        return { target, ended: stage, state: stage.startsWith(FAILED) ? 'failed' : 'done' };
      }
      const state = stage === '' ? 'waiting' : 'running';
      return { target, cells: cellsOf(this.#current(stage), now), state };
    });
    return this.#table.lines(rows, width, height).join('\n');
  }

  get run(): string {
    return this.#run;
  }

  #current(stage: Stage | string): Stage | undefined {
    return typeof stage === 'string' ? this.#shared : stage;
  }

  #stageOf(target: string | null): Stage | undefined {
    const stage = target === null ? this.#shared : this.#targets.get(target);
    return typeof stage === 'string' ? undefined : stage;
  }

  #set(target: string | null, stage: Stage | undefined): void {
    if (target === null) this.#shared = stage;
    else this.#targets.set(target, stage ?? '');
  }

  /** What has become of a target is known before the others are done. */
  #end({ target, stage, error }: PublishEvent & { type: 'end' }): void {
    this.#set(target, undefined);
    if (target === null) return;
    if (error !== null) this.#targets.set(target, FAILED + error);
    else if (stage === 'register') this.#targets.set(target, 'published');
  }
}

function newStage(name: StageName, at: number): Stage {
  return { name, what: '', done: 0, total: null, unit: null, began: at, samples: [{ at, done: 0 }] };
}

function advance(stage: Stage | undefined, event: PublishEvent & { type: 'progress' }, at: number): void {
  if (stage === undefined) return;
  const { what, done, total, unit } = event;
  // A stage may have several steps, each of which counts from the start.
  if ((what !== stage.what && stage.what !== '') || done < stage.done) stage.samples = [];
  Object.assign(stage, { what, done, total, unit });
  stage.samples.push({ at, done });
  while (stage.samples.length > 2 && stage.samples[0]!.at < at - RATE_OVER) stage.samples.shift();
}

/** What is being done, how far, how fast, and how long it will take. */
function cellsOf(stage: Stage | undefined, now: number): string[] {
  if (stage === undefined) return ['waiting'];
  const { name, what, done, total, unit, began } = stage;
  const doing =
    name === 'unpack' && what !== '' ? what.charAt(0).toLowerCase() + what.slice(1) : STAGE_WORDS[name];
  if (unit === null) return [doing, showDuration(Math.max(now - began, 0) / 1000)];
  const amount =
    total === null
      ? showAmount(done, unit)
      : `${String(percentOf(done, total))} % of ${showAmount(total, unit)}`;
  const rate = rateOf(stage);
  if (rate <= 0) return [doing, amount];
  const left = total === null || done >= total ? '' : showDuration(Math.ceil((total - done) / rate));
  return [doing, amount, `${showAmount(Math.round(rate), unit)}/s`, left];
}

function percentOf(done: number, total: number): number {
  return total <= 0 ? 100 : Math.min(Math.floor((done / total) * 100), 100);
}

function rateOf({ samples }: Stage): number {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined || last.at === first.at) return 0;
  return ((last.done - first.done) * 1000) / (last.at - first.at);
}

function showAmount(amount: number, unit: ProgressUnit): string {
  return unit === 'bytes' ? showSize(amount) : `${showCount(amount)} ${unit}`;
}

function endOf(row: { Error?: string; AlreadyPublished: boolean; AmiId?: string }): string {
  if (row.Error !== undefined) return FAILED + row.Error;
  return row.AlreadyPublished ? 'published already' : `published ${row.AmiId ?? ''}`;
}

function prefix(target: string | null): string {
  return target === null ? '' : `${showText(target)}: `;
}
