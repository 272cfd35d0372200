import { columnsOf, rowsOf } from './output.js';
import type { Output } from './output.js';

const ERASE_TO_END = '\x1b[K';
const ERASE_BELOW = '\x1b[J';
/** A line with wide characters may be longer than it seems; it is cut then, and takes no second row. */
const WRAP_OFF = '\x1b[?7l';
const WRAP_ON = '\x1b[?7h';

/** The last lines of a terminal, which show what is going on and give way to whatever else is written. */
export class StatusLine {
  readonly #output: Output;
  /** The lengths of the lines that are shown now. */
  #shown: readonly number[] = [];

  constructor(output: Output) {
    this.#output = output;
  }

  /** How many characters fit; a line that reaches the last column would wrap on some terminals. */
  get width(): number {
    return columnsOf(this.#output) - 1;
  }

  /** How many lines fit, one below the other. */
  get height(): number {
    return Math.max(rowsOf(this.#output) - 1, 1);
  }

  /** Shows a line, or several, in place of those that are shown. */
  draw(text: string): void {
    const lines = text.split('\n');
    const below = this.#rows > lines.length ? ERASE_BELOW : '';
    const drawn = lines.map(line => line + ERASE_TO_END).join('\n');
    this.#write(`${this.#toStart()}${WRAP_OFF}${drawn}${WRAP_ON}${below}`);
    this.#shown = lines.map(line => Array.from(line).length);
  }

  erase(): void {
    if (this.#shown.length > 0)
      this.#write(`${this.#toStart()}${this.#rows > 1 ? ERASE_BELOW : ERASE_TO_END}`);
    this.#shown = [];
  }

  /** Writes a line that stays. */
  print(line: string): void {
    this.erase();
    this.#write(`${line}\n`);
  }

  /** How many rows the lines take that are shown: a terminal that has become narrower has wrapped them. */
  get #rows(): number {
    const columns = columnsOf(this.#output);
    return this.#shown.reduce((sum, length) => sum + Math.max(Math.ceil(length / columns), 1), 0);
  }

  /** Takes the cursor to the start of the first line that is shown. */
  #toStart(): string {
    return this.#rows > 1 ? `\x1b[${String(this.#rows - 1)}A\r` : '\r';
  }

  #write(text: string): void {
    // When standard error is gone there is nobody left to tell.
    this.#output.write(text, () => undefined);
  }
}
