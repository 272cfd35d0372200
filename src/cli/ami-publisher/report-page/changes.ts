import { DISK_BLOCK_SIZE } from '../../../image/disk-map.js';
import type { RunReport, TargetReport } from '../../../publisher/run-report.js';
import type { ComparedImages } from '../../../store/diff-images.js';
import { showCount, showSize } from '../../show.js';
import type { Html } from './html.js';
import { html } from './html.js';

/** So many names are listed of a kind; `imagetool diff` has all of them. */
const MOST_NAMES = 500;
/** Lists that are no longer are open from the start. */
const SHORT = 30;

type ToChange = Pick<RunReport, 'Targets' | 'Changes' | 'ChangesFault' | 'ImageName'>;

/** What changed: in the targets, from which image to which, and what differs in those. */
export function changes({ Targets, Changes, ChangesFault, ImageName }: ToChange): Html {
  const made = Targets.filter(({ State, AmiId }) => State !== 'published already' && AmiId !== undefined);
  const blocks = Targets.reduce((sum, target) => sum + sentOf(target), 0);
  const before = new Map<string, number>();
  for (const { ParentImageName = 'nothing that is known' } of made) {
    before.set(ParentImageName, (before.get(ParentImageName) ?? 0) + 1);
  }
  return html`<section aria-labelledby="changes">
    <h2 id="changes">What changed</h2>
    <ul>
      ${[...before].map(([name, count]) => html`<li>From <code>${name}</code> to <code>${ImageName}</code> in ${countOf(count, 'target')}</li> `)}
      <li>
        ${countOf(blocks, 'block')} of 512 KiB sent, ${showSize(blocks * DISK_BLOCK_SIZE)}, to all targets
        together
      </li>
    </ul>
    ${Changes === null ? html`<p class="weak">Files are not compared: ${ChangesFault}</p>` : compared(Changes)}
  </section>`;
}

/** Blocks that this run sent. */
export function sentOf({ State, BlocksSent = 0 }: TargetReport): number {
  return State === 'published already' ? 0 : BlocksSent;
}

function compared({
  from,
  to,
  added,
  removed,
  changed,
  newBytes,
  packages,
  packagesFault,
}: ComparedImages): Html {
  return html`<h3>Content of <code>${to}</code> compared with <code>${from}</code></h3>
    <p>
      ${countOf(added.length, 'entry', 'entries')} added, ${showCount(removed.length)} removed,
      ${showCount(changed.length)} changed; ${showSize(newBytes)} of new data
    </p>
    ${list('Added', added)} ${list('Removed', removed)}
    ${list(
      'Changed',
      changed.map(({ path, what }) => `${path}: ${what.join(', ')}`),
    )}
    ${packages === null ? html`<p class="weak">Packages are not compared: ${packagesFault ?? 'not both images have a list of them'}</p>` : packageTable(packages)}`;
}

function list(title: string, names: readonly string[]): Html | undefined {
  if (names.length === 0) return undefined;
  const shown = names.slice(0, MOST_NAMES);
  const more = names.length - shown.length;
  const body = html`<summary>${title}: ${countOf(names.length, 'entry', 'entries')}</summary>
    <ul class="paths">
      ${shown.map(name => html`<li><code>${name}</code></li> `)}
      ${more === 0 ? undefined : html`<li class="weak">and ${showCount(more)} more, which imagetool diff lists</li>`}
    </ul>`;
  return names.length > SHORT ? html`<details>${body}</details>` : html`<details open>${body}</details>`;
}

function packageTable({ added, removed, changed }: NonNullable<ComparedImages['packages']>): Html {
  const rows = [
    ...added.map(({ name, version }) => ({ name, from: '-', to: version })),
    ...removed.map(({ name, version }) => ({ name, from: version, to: '-' })),
    ...changed,
  ].sort((a, b) => (a.name < b.name ? -1 : 1));
  if (rows.length === 0) return html`<p>All packages are the same.</p>`;
  return html`<div class="scroll" role="region" aria-label="Packages" tabindex="0">
    <table>
      <caption>
        ${countOf(rows.length, 'package')} ${rows.length === 1 ? 'differs' : 'differ'}
      </caption>
      <thead>
        <tr>
          <th scope="col">Package</th>
          <th scope="col">Before</th>
          <th scope="col">After</th>
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          ({ name, from, to }) =>
            html`<tr>
              <th scope="row">${name}</th>
              <td><code>${from}</code></td>
              <td><code>${to}</code></td>
            </tr> `,
        )}
      </tbody>
    </table>
  </div>`;
}

/** `1 target`, `2 targets`. */
export function countOf(count: number, one: string, many = `${one}s`): string {
  return `${showCount(count)} ${count === 1 ? one : many}`;
}
