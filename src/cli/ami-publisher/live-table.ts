import { showCount, showText } from '../show.js';

/** What is shown of a target: what is done there, cell by cell, or how it ended. */
export interface LiveRow {
  readonly target: string;
  /** Stage, how far, rate, time left. */
  readonly cells?: readonly string[];
  readonly ended?: string;
  readonly state: 'running' | 'failed' | 'waiting' | 'done';
}

/** Which rows are shown when there is no room for all of them. */
const IMPORTANCE = ['running', 'failed', 'waiting', 'done'] as const;

const COLUMNS = ['TARGET', 'STAGE', 'DONE', 'RATE', 'LEFT'];
/** What the columns come to mostly. */
const USUAL_WIDTHS = [6, 18, 16, 10, 10];
/** Which columns are shown, the first that fit: when it gets narrow the rate gives way, then the time that is left. */
const SELECTIONS = [
  [0, 1, 2, 3, 4],
  [0, 1, 2, 4],
  [0, 1, 2],
];
const GAP = '  ';
/** So much of a target's name tells it from others, mostly. */
const LEAST_TARGET = 14;

/** A table on a terminal. Its columns never get narrower, so that they stand still. */
export class LiveTable {
  readonly #widths = [...USUAL_WIDTHS];

  /** A line for each row below a line of titles, as wide and as many as fit. */
  lines(rows: readonly LiveRow[], width: number, height: number): string[] {
    for (const { target, cells = [] } of rows) {
      for (const [at, cell] of [target, ...cells].entries()) {
        this.#widths[at] = Math.max(this.#widths[at] ?? 0, lengthOf(showText(cell)));
      }
    }
    const { columns, targetWidth } = this.#fit(width);
    const line = ([target = '', ...cells]: readonly string[]): string =>
      [shorten(target, targetWidth).padEnd(targetWidth), ...cells].join(GAP).trimEnd();
    const body = atMost(rows, Math.max(height - 1, 1)).map(row => {
      if (typeof row === 'string') return row;
      const { target, cells = [], ended } = row;
      if (ended !== undefined) return line([target, showText(ended)]);
      return line([target, ...this.#pad(cells, columns)]);
    });
    return [line(['TARGET', ...this.#pad(COLUMNS.slice(1), columns)]), ...body].map(text => cut(text, width));
  }

  #pad(cells: readonly string[], columns: readonly number[]): string[] {
    return columns.slice(1).map(at => showText(cells[at - 1] ?? '').padEnd(this.#widths[at]!));
  }

  /** The columns that fit into a width, and what room they leave for the names of targets. */
  #fit(width: number): { columns: readonly number[]; targetWidth: number } {
    const longest = this.#widths[0]!;
    const fits = SELECTIONS.map(columns => {
      const others = columns.slice(1).reduce((sum, at) => sum + GAP.length + this.#widths[at]!, 0);
      return { columns, room: width - others };
    });
    const { columns, room } =
      fits.find(({ room: left }) => left >= Math.min(longest, LEAST_TARGET)) ?? fits.at(-1)!;
    return { columns, targetWidth: Math.min(longest, Math.max(room, COLUMNS[0]!.length)) };
  }
}

/** As many rows as fit, those first where something is going on or has failed; then how many more there are. */
function atMost(rows: readonly LiveRow[], room: number): (LiveRow | string)[] {
  if (rows.length <= room) return [...rows];
  const byImportance = IMPORTANCE.flatMap(state => rows.filter(row => row.state === state));
  const shown = new Set(byImportance.slice(0, room - 1));
  const hidden = rows.filter(row => !shown.has(row));
  const counts = (['done', 'failed'] as const).flatMap(state => {
    const count = hidden.filter(row => row.state === state).length;
    return count === 0 ? [] : [`${showCount(count)} of them ${state}`];
  });
  return [
    ...rows.filter(row => shown.has(row)),
    [`and ${showCount(hidden.length)} more`, ...counts].join(', '),
  ];
}

/** The end of a name says more of it than its beginning. */
function shorten(name: string, width: number): string {
  const characters = Array.from(showText(name));
  if (characters.length <= width) return characters.join('');
  return `…${characters.slice(characters.length - width + 1).join('')}`;
}

function cut(line: string, width: number): string {
  return Array.from(line).slice(0, width).join('');
}

function lengthOf(text: string): number {
  return Array.from(text).length;
}
