import { columnsOf, rowsOf } from './output.js';
import type { Output } from './output.js';

const ERASE_TO_END = '\x1b[K';
const ERASE_BELOW = '\x1b[J';

/** The last lines of a terminal, which show what is going on and give way to whatever else is written. */
export class StatusLine {
  readonly #output: Output;
  /** How many lines are shown now. */
  #shown = 0;

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
    const below = this.#shown > lines.length ? ERASE_BELOW : '';
    this.#write(`${this.#toStart()}${lines.map(line => line + ERASE_TO_END).join('\n')}${below}`);
    this.#shown = lines.length;
  }

  erase(): void {
    if (this.#shown > 0) this.#write(`${this.#toStart()}${this.#shown > 1 ? ERASE_BELOW : ERASE_TO_END}`);
    this.#shown = 0;
  }

  /** Writes a line that stays. */
  print(line: string): void {
    this.erase();
    this.#write(`${line}\n`);
  }

  /** Takes the cursor to the start of the first line that is shown. */
  #toStart(): string {
    return this.#shown > 1 ? `\x1b[${String(this.#shown - 1)}A\r` : '\r';
  }

  #write(text: string): void {
    // When standard error is gone there is nobody left to tell.
    this.#output.write(text, () => undefined);
  }
}
