import { DISK_BLOCK_SIZE } from '../../../image/disk-map.js';
import type { RunReport, TargetReport } from '../../../publisher/run-report.js';
import { showCount, showDuration, showSize } from '../../show.js';
import { changes, countOf, sentOf } from './changes.js';
import type { Html, HtmlValue } from './html.js';
import { html } from './html.js';
import { STYLE } from './style.js';
import { timeline } from './timeline.js';

const STATE_WORDS: Readonly<Record<RunReport['State'], string>> = {
  done: 'done',
  partly: 'failed in some targets',
  failed: 'failed',
  'rolled-back': 'rolled back',
  running: 'going on',
  interrupted: 'interrupted',
};

/**
 * The page that tells of a run: complete in itself, without scripts, and the same for the same report. Names come from
 * images and targets, and are only ever text.
 */
export function reportPage(report: RunReport): string {
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="referrer" content="no-referrer" />
        <title>${report.ImageName}: run ${report.Run}</title>
        <style>
          ${STYLE}
        </style>
      </head>
      <body>
        <header>${summary(report)}</header>
        <main>${errors(report)} ${targetTable(report.Targets)} ${timeline(report)} ${changes(report)}</main>
        <footer>Run ${report.Run}, as its journal tells. Times are UTC.</footer>
      </body>
    </html> `;
  return `${page.toString().trim()}\n`;
}

function summary({
  Run,
  ImageName,
  ImageDigest,
  State,
  StartedAt,
  EndedAt,
  ExpiresAt,
  Tags,
  Targets,
}: RunReport): Html {
  const isGood = State === 'done' || State === 'running';
  const done = Targets.filter(target => target.State.startsWith('published')).length;
  const facts: [string, HtmlValue][] = [
    ['Run', html`<code>${Run}</code>`],
    [
      'State',
      html`<span class="state ${isGood ? 'good' : 'bad'}">${STATE_WORDS[State]}</span>, ${showCount(done)} of
        ${countOf(Targets.length, 'target')} published`,
    ],
    ['Begun', StartedAt],
    ['Ended', EndedAt ?? '-'],
    ['Image digest', html`<code>${ImageDigest}</code>`],
    ['Expires', ExpiresAt ?? 'never'],
    ...Object.entries(Tags).map(([key, value]): [string, string] => [`Tag ${key}`, value]),
  ];
  return html`<h1>${ImageName}</h1>
    <dl>
      ${facts.map(
        ([name, value]) =>
          html`<dt>${name}</dt>
            <dd>${value}</dd> `,
      )}
    </dl>`;
}

/** Every error once, those of targets first. */
function errors({ Targets, Attempts }: RunReport): Html | undefined {
  const seen = new Map<string, { target: string; message: string; isPast: boolean }>();
  const add = (target: string, message: string, isPast: boolean): void => {
    const key = JSON.stringify([target, message]);
    if (!seen.has(key)) seen.set(key, { target, message, isPast });
  };
  const failed = Targets.filter(({ Error }) => Error !== undefined);
  for (const { Target, Error } of failed) add(Target, Error!, false);
  for (const { Target, Error } of Attempts.flatMap(({ Stages }) => Stages)) {
    if (Error !== undefined)
      add(Target ?? 'all targets', Error, !failed.some(each => each.Target === Target));
  }
  if (seen.size === 0) return undefined;
  return html`<section aria-labelledby="errors">
    <h2 id="errors">Errors</h2>
    <ul>
      ${[...seen.values()].map(({ target, message, isPast }) => html`<li><strong>${target}</strong>: ${message}${isPast ? html` <span class="weak">(on the way)</span>` : undefined}</li> `)}
    </ul>
  </section>`;
}

/** A column of the table of targets. */
interface Column {
  readonly title: string;
  readonly kind?: 'number' | 'id' | 'state';
  readonly cell: (target: TargetReport) => HtmlValue;
}

const COLUMNS: readonly Column[] = [
  {
    title: 'State',
    kind: 'state',
    cell: ({ State }) => html`<span class="${toneOf(State)}">${State}</span>`,
  },
  { title: 'Account', cell: ({ AccountId, AccountName }) => AccountId ?? AccountName },
  { title: 'Region', cell: ({ Region }) => Region },
  { title: 'Image', kind: 'id', cell: ({ AmiId }) => lines(AmiId) },
  { title: 'Disk', kind: 'id', cell: ({ SnapshotId, Path }) => lines(SnapshotId, Path) },
  { title: 'Made from', kind: 'id', cell: target => lines(target.ParentSnapshotId, target.ParentImageName) },
  { title: 'Removed', kind: 'id', cell: ({ Removed }) => lines(...Removed) },
  { title: 'Size', kind: 'number', cell: ({ DiskSize }) => DiskSize && showSize(DiskSize) },
  { title: 'Blocks sent', kind: 'number', cell: target => showCount(sentOf(target)) },
  { title: 'Bytes sent', kind: 'number', cell: target => showSize(sentOf(target) * DISK_BLOCK_SIZE) },
  { title: 'Time', kind: 'number', cell: ({ Stages = {} }) => timeOf(Object.values(Stages)) },
];

function targetTable(targets: readonly TargetReport[]): Html {
  const columns = COLUMNS.filter(
    ({ title }) => title !== 'Removed' || targets.some(({ Removed }) => Removed.length > 0),
  );
  return html`<section aria-labelledby="targets">
    <h2 id="targets">Targets</h2>
    <div class="scroll" role="region" aria-labelledby="targets" tabindex="0">
      <table>
        <thead>
          <tr>
            <th scope="col">Target</th>
            ${columns.map(({ title, kind }) => html`<th scope="col" class="${kind === 'number' ? kind : ''}">${title}</th> `)}
          </tr>
        </thead>
        <tbody>
          ${targets.map(
            target =>
              html`<tr>
                <th scope="row">${target.Target}</th>
                ${columns.map(({ kind, cell }) => html`<td class="${kind ?? ''}">${cell(target) ?? '-'}</td> `)}
              </tr> `,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

function toneOf(state: TargetReport['State']): string {
  return state.startsWith('published') || state === 'running' ? 'good' : 'bad';
}

/** Texts one below the other; undefined when there are none. */
function lines(...texts: readonly (string | undefined)[]): HtmlValue {
  const known = texts.filter(text => text !== undefined);
  return known.length === 0 ? undefined : known.map(text => html`<div>${text}</div>`);
}

function timeOf(seconds: readonly number[]): string | undefined {
  return seconds.length === 0 ? undefined : showDuration(seconds.reduce((sum, each) => sum + each, 0));
}
