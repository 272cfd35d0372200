const SIZE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** A size for people: `0 B`, `1023 B`, `1.6 GiB`, `12 MiB`. */
export function showSize(bytes: number | bigint): string {
  let size = Number(bytes);
  let unit = 0;
  // From 1023.5 on a size would be rounded to 1024 of its unit.
  while (size >= 1023.5 && unit < SIZE_UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${size.toFixed(unit === 0 || size >= 9.95 ? 0 : 1)} ${SIZE_UNITS[unit]!}`;
}

/** A whole number for people: `33,488`. */
export function showCount(count: number | bigint): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** How many there are of what `one` names: `1 object`, `2,000 objects`. */
export function showCountOf(count: number | bigint, one: string, many = `${one}s`): string {
  return `${showCount(count)} ${count === 1 || count === 1n ? one : many}`;
}

/** A duration in seconds for people: `0.42 s`, `3.1 s`, `12 s`, `3 min 05 s`, `2 h 07 min`, `30 d 04 h`. */
export function showDuration(seconds: number): string {
  if (seconds < 0.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 59.5) return `${seconds.toFixed(0)} s`;
  const minutes = seconds / 60;
  if (seconds < 3599.5) return showTwo(Math.round(seconds), 60, 'min', 's');
  if (minutes < 24 * 60 - 0.5) return showTwo(Math.round(minutes), 60, 'h', 'min');
  return showTwo(Math.round(minutes / 60), 24, 'd', 'h');
}

function showTwo(count: number, size: number, unit: string, rest: string): string {
  return `${String(Math.floor(count / size))} ${unit} ${String(count % size).padStart(2, '0')} ${rest}`;
}

// What drives a terminal or deceives its reader: controls (C0, DEL, C1), line separators, marks that turn
// the direction of writing, and halves of surrogate pairs.
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|\p{Surrogate}/gu;

/** Text from outside (a path, a name, another program's message) as one line that no terminal obeys. */
export function showText(text: string): string {
  return text.replace(UNSAFE, escapeCharacter);
}

/** As `showText`, but text of several lines stays so. */
export function showLines(text: string): string {
  return text.replace(UNSAFE, character => (character === '\n' ? character : escapeCharacter(character)));
}

/** Text of several lines, or its lines of which there may be millions, as `showLines` makes them, in pieces. */
export function* linePieces(shown: string | Iterable<string>): Generator<string, void, undefined> {
  if (typeof shown === 'string') {
    yield showLines(shown);
    return;
  }
  let between = '';
  for (const line of shown) {
    yield between + showLines(line);
    between = '\n';
  }
}

function escapeCharacter(character: string): string {
  if (character === '\n') return '\\n';
  if (character === '\t') return '\\t';
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

export interface Column {
  title: string;
  /** Numbers stand to the right. */
  align?: 'left' | 'right';
}

/** A table for people: a line of titles and a line a row, without an end of line after the last. */
export function showTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const lines = [columns.map(column => column.title), ...rows.map(row => row.map(showText))];
  const widths = columns.map((_, at) => Math.max(...lines.map(line => widthOf(line[at] ?? ''))));
  return lines
    .map(line =>
      columns
        .map((column, at) => pad(line[at] ?? '', widths[at]!, column))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function pad(cell: string, width: number, column: Column): string {
  const space = ' '.repeat(width - widthOf(cell));
  return column.align === 'right' ? space + cell : cell + space;
}

function widthOf(cell: string): number {
  return Array.from(cell).length;
}
