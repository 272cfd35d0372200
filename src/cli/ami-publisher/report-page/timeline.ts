import type { AttemptReport, RunReport, StageReport } from '../../../publisher/run-report.js';
import { showCount, showDuration } from '../../show.js';
import type { Html } from './html.js';
import { html } from './html.js';

const ATTEMPT_WORDS: Readonly<Record<AttemptReport['To'], string>> = {
  publish: 'Published',
  resume: 'Resumed',
  'roll-back': 'Rolled back',
};
const STAGE_WORDS: Readonly<Record<StageReport['Stage'], string>> = {
  unpack: 'unpack',
  capture: 'capture',
  disk: 'write the disk',
  register: 'register',
  unpacker: 'wait for an unpacker',
  volume: 'prepare the volume',
  snapshot: 'wait for the snapshot',
  remove: 'remove',
};
/** Bars that take less of the line, in percent, have no room for a word. */
const ROOM_FOR_WORD = 9;
const TICKS = 4;

/** When each stage was done, target by target; a figure for each time that somebody worked on the run. */
export function timeline({ Attempts, Targets }: Pick<RunReport, 'Attempts' | 'Targets'>): Html {
  const used = new Set(Attempts.flatMap(({ Stages }) => Stages.map(({ Stage }) => Stage)));
  const keys = Object.entries(STAGE_WORDS).filter(([stage]) => used.has(stage as StageReport['Stage']));
  return html`<section aria-labelledby="timeline">
    <h2 id="timeline">Timeline</h2>
    <ul class="legend">
      ${keys.map(([stage, words]) => html`<li><span class="key ${stage}"></span>${words}</li> `)}
    </ul>
    ${Attempts.map((attempt, at) =>
      figure(
        attempt,
        Targets.map(({ Target }) => Target),
        at === 0,
      ),
    )}
  </section>`;
}

function figure(attempt: AttemptReport, targets: readonly string[], isFirst: boolean): Html {
  const { To, StartedAt, EndedAt, Outcome, Stages } = attempt;
  const seconds = Math.max(secondsBetween(StartedAt, EndedAt), 0);
  const lines = [null, ...targets].map(target => ({
    target,
    stages: Stages.filter(({ Target }) => Target === target),
  }));
  const shown = lines.filter(({ target, stages }) => stages.length > 0 || (isFirst && target !== null));
  const idle = targets.length - shown.filter(({ target }) => target !== null).length;
  const ticks = Array.from({ length: TICKS + 1 }, (_, at) =>
    at === 0 ? '0 s' : showDuration((seconds * at) / TICKS),
  );
  return html`<h3>
      ${ATTEMPT_WORDS[To]} <time datetime="${StartedAt}">${StartedAt}</time>: ${Outcome},
      ${showDuration(seconds)}
    </h3>
    <div class="scroll" role="region" aria-label="Stages" tabindex="0">
      <table class="timeline">
        <thead>
          <tr>
            <th scope="col">Target</th>
            <th scope="col">
              <span class="aside">Stages</span
              ><span class="axis" aria-hidden="true">${ticks.map(tick => html`<span>${tick}</span>`)}</span>
            </th>
            <th scope="col" class="number">Time</th>
          </tr>
        </thead>
        <tbody>
          ${shown.map(({ target, stages }) => line(target, stages, attempt, seconds))}
        </tbody>
      </table>
    </div>
    ${idle === 0 ? undefined : html`<p class="weak">In ${showCount(idle)} more ${idle === 1 ? 'target' : 'targets'} nothing was done.</p>`}`;
}

function line(
  target: string | null,
  stages: readonly StageReport[],
  attempt: AttemptReport,
  seconds: number,
): Html {
  const bars = stages.map(stage => {
    const from = secondsBetween(attempt.StartedAt, stage.StartedAt);
    const to = secondsBetween(attempt.StartedAt, stage.EndedAt ?? attempt.EndedAt);
    return { stage, from: within(from, seconds), to: within(Math.max(to, from), seconds) };
  });
  const took =
    bars.length === 0 ? 0 : Math.max(...bars.map(({ to }) => to)) - Math.min(...bars.map(({ from }) => from));
  return html`<tr>
    <th scope="row">${target ?? 'all targets'}</th>
    <td>
      <div class="track" aria-hidden="true">${bars.map(each => bar(each, seconds))}</div>
      <span class="aside">${bars.map(each => html`${describeBar(each)}; `)}</span>
    </td>
    <td class="number">${bars.length === 0 ? '-' : showDuration(took)}</td>
  </tr> `;
}

interface Bar {
  readonly stage: StageReport;
  readonly from: number;
  readonly to: number;
}

function bar(each: Bar, seconds: number): Html {
  const { stage, from, to } = each;
  const part = (time: number): string => (seconds === 0 ? 0 : (time / seconds) * 100).toFixed(2);
  const isWide = Number(part(to - from)) >= ROOM_FOR_WORD;
  const classes = [
    stage.Stage,
    isWide ? '' : 'narrow',
    stage.Error === undefined ? '' : 'failed',
    stage.EndedAt === null ? 'unended' : '',
  ].join(' ');
  return html`<span
    class="bar ${classes}"
    style="left:${part(from)}%;width:${part(to - from)}%"
    title="${describeBar(each)}"
    >${isWide ? STAGE_WORDS[stage.Stage] : ''}</span
  >`;
}

function describeBar({ stage, from, to }: Bar): string {
  const end = stage.EndedAt === null ? 'not ended' : showDuration(to - from);
  const error = stage.Error === undefined ? '' : `, failed: ${stage.Error}`;
  return `${STAGE_WORDS[stage.Stage]}: from ${showDuration(from)}, ${end}${error}`;
}

/** Clocks of machines are put right now and then; what would leave the figure is at its edge. */
function within(time: number, seconds: number): number {
  return Math.min(Math.max(time, 0), seconds);
}

function secondsBetween(from: string, to: string): number {
  const seconds = (Date.parse(to) - Date.parse(from)) / 1000;
  return Number.isFinite(seconds) ? seconds : 0;
}
