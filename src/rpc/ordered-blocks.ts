/** Blocks asked for at once: 8 MiB. */
const WINDOW = 16;
/** Windows asked for ahead: while one travels the next is read. */
const AHEAD = 2;

/** Somebody who is asked for blocks by their numbers and gives them one after another, in the order asked. */
export interface BlockGiver {
  ask(numbers: readonly number[]): void;
  next(): Promise<Buffer>;
  /** What comes next cannot be told any more: give up altogether. */
  abandon(): void;
}

/** Asks for blocks a little ahead of who takes them. Of several that take blocks at once each has its turn. */
export class OrderedBlocks {
  readonly #giver: BlockGiver;
  #turn: Promise<void> = Promise.resolve();
  #reading = false;

  constructor(giver: BlockGiver) {
    this.#giver = giver;
  }

  /** Whether somebody is taking blocks, or has left off in the middle. */
  get reading(): boolean {
    return this.#reading;
  }

  /** The blocks with these numbers, in that order. Who leaves early leaves the others their blocks. */
  async *take(numbers: readonly number[]): AsyncGenerator<Buffer, void, undefined> {
    const before = this.#turn;
    let done = (): void => undefined;
    this.#turn = new Promise<void>(resolve => (done = resolve));
    await before;
    this.#reading = true;
    let asked = 0;
    let taken = 0;
    try {
      while (taken < numbers.length) {
        for (; asked < numbers.length && asked <= taken + WINDOW * (AHEAD - 1); asked += WINDOW) {
          this.#giver.ask(numbers.slice(asked, asked + WINDOW));
        }
        const block = await this.#giver.next();
        taken++;
        yield block;
      }
    } catch (reason) {
      this.#giver.abandon();
      throw reason;
    } finally {
      await this.#skip(Math.min(asked, numbers.length) - taken);
      this.#reading = false;
      done();
    }
  }

  async #skip(count: number): Promise<void> {
    for (let left = count; left > 0; left--) {
      const got = await this.#giver.next().then(
        () => true,
        () => false,
      );
      if (!got) return;
    }
  }
}
