const REDRAW_EVERY = 200;
/** Where lines stay, one now and then is enough to look alive. */
const LINE_EVERY = 15_000;
const ERASE_TO_END = '\x1b[K';

/** Tells people which step is under way and, when it is done, what came of it. */
export class Steps {
  #output;

  constructor(output) {
    this.#output = output;
  }

  /** Runs `work`; `outcome` says in a few words what it came to. */
  async run(what, work, outcome = () => '') {
    const began = performance.now();
    const timer = setInterval(() => this.#showRunning(what, began), this.#interval);
    if (this.#output.isTTY) this.#showRunning(what, began);
    let mark = '✘';
    let came = '';
    try {
      const result = await work();
      [mark, came] = ['✔', outcome(result)];
      return result;
    } finally {
      clearInterval(timer);
      const erase = this.#output.isTTY ? `\r${ERASE_TO_END}` : '';
      this.#output.write(
        `${erase}${mark} ${[what, came].filter(Boolean).join(': ')} (${secondsSince(began)})\n`,
      );
    }
  }

  get #interval() {
    return this.#output.isTTY ? REDRAW_EVERY : LINE_EVERY;
  }

  #showRunning(what, began) {
    const line = `… ${what} (${secondsSince(began)})`;
    if (!this.#output.isTTY) this.#output.write(`${line}\n`);
    else this.#output.write(`\r${line.slice(0, (this.#output.columns || 80) - 1)}${ERASE_TO_END}`);
  }
}

function secondsSince(began) {
  return `${((performance.now() - began) / 1000).toFixed(1)} s`;
}
