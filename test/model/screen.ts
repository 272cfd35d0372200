/** What a terminal shows, as far as our programs drive one. Throws for a sequence that it does not know. */
export class Screen {
  readonly #columns: number;
  readonly #lines: string[][] = [[]];
  #row = 0;
  #column = 0;
  #wraps = true;
  #unread = '';

  constructor(columns: number) {
    this.#columns = columns;
  }

  write(text: string): void {
    const input = this.#unread + text;
    // A sequence may come in pieces.
    const [, whole = '', rest = ''] = /^(.*?)(\x1b(?:\[[?\d;]*)?)?$/su.exec(input) ?? [];
    this.#unread = rest;
    for (const [piece, parameters, final] of whole.matchAll(/\x1b\[([?\d;]*)([A-Za-z])|[^]/gu)) {
      if (final === undefined) this.#put(piece);
      else this.#obey(`${parameters ?? ''}${final}`);
    }
  }

  /** The lines, without what is empty at their ends. */
  get lines(): string[] {
    const lines = this.#lines.map(line => line.join('').trimEnd());
    while (lines.at(-1) === '') lines.pop();
    return lines;
  }

  #put(character: string): void {
    if (character === '\r') this.#column = 0;
    else if (character === '\n') this.#go(this.#row + 1);
    else {
      if (this.#column === this.#columns) {
        if (this.#wraps) this.#go(this.#row + 1);
        this.#column = this.#wraps ? 0 : this.#columns - 1;
      }
      const line = this.#lines[this.#row]!;
      while (line.length < this.#column) line.push(' ');
      line[this.#column++] = character;
    }
  }

  #obey(sequence: string): void {
    const up = /^(\d+)A$/.exec(sequence);
    if (up !== null) this.#go(this.#row - Number(up[1]));
    else if (sequence === 'K')
      this.#lines[this.#row]!.length = Math.min(this.#column, this.#lines[this.#row]!.length);
    else if (sequence === 'J') {
      this.#obey('K');
      this.#lines.length = this.#row + 1;
    } else if (sequence === '?7l' || sequence === '?7h') this.#wraps = sequence.endsWith('h');
    else throw new Error(`a terminal is not known to obey ${JSON.stringify(sequence)}`);
  }

  #go(row: number): void {
    if (row < 0) throw new Error('the cursor would leave the screen');
    this.#row = row;
    while (this.#lines.length <= row) this.#lines.push([]);
  }
}
