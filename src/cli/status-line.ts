import { columnsOf } from './output.js';
import type { Output } from './output.js';

const ERASE_TO_END = '\x1b[K';

/** The last line of a terminal, which shows what is going on and gives way to whatever else is written. */
export class StatusLine {
  readonly #output: Output;
  #shown = false;

  constructor(output: Output) {
    this.#output = output;
  }

  /** How many characters fit; a line that reaches the last column would wrap on some terminals. */
  get width(): number {
    return columnsOf(this.#output) - 1;
  }

  draw(text: string): void {
    this.#write(`\r${text}${ERASE_TO_END}`);
    this.#shown = true;
  }

  erase(): void {
    if (this.#shown) this.#write(`\r${ERASE_TO_END}`);
    this.#shown = false;
  }

  /** Writes a line that stays. */
  print(line: string): void {
    this.erase();
    this.#write(`${line}\n`);
  }

  #write(text: string): void {
    // When standard error is gone there is nobody left to tell.
    this.#output.write(text, () => undefined);
  }
}
