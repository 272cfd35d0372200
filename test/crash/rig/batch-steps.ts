/** Cuts a packed batch into its operations, each of them a batch of its own (native/patch.cc has the grammar). */
export function operationsOf(batch: Buffer): Buffer[] {
  const operations: Buffer[] = [];
  for (let at = 0; at < batch.length;) {
    const end = new Cursor(batch, at).operation();
    operations.push(batch.subarray(at, end));
    at = end;
  }
  return operations;
}

const [OWNER, MODE, ATTRIBUTES, MTIME, FLAGS] = [1, 2, 4, 8, 16];

class Cursor {
  readonly #batch: Buffer;
  #at: number;

  constructor(batch: Buffer, at: number) {
    this.#batch = batch;
    this.#at = at;
  }

  /** Goes over an operation; returns where it ends. */
  operation(): number {
    const code = this.#u8();
    this.#bytes();
    switch (code) {
      case 1:
        this.#at += 4;
        break;
      case 2:
      case 10:
      case 12:
      case 13:
        this.#content();
        break;
      case 3:
      case 5:
      case 6:
        this.#bytes();
        break;
      case 4:
        this.#at += 12;
        break;
      case 9:
        this.#change();
        break;
      case 7:
      case 8:
      case 11:
        break;
      default:
        throw new Error(`Operation ${String(code)} is not known: batch-steps.ts must follow native/patch.cc`);
    }
    return this.#at;
  }

  #content(): void {
    this.#at += 8;
    if (this.#u8() === 1) this.#at += 64;
    const segments = this.#u32();
    this.#at += 16 * segments;
  }

  #change(): void {
    this.#at += 4;
    const what = this.#u8();
    if (what & OWNER) this.#at += 8;
    if (what & MODE) this.#at += 4;
    if (what & ATTRIBUTES) {
      for (let count = this.#u32(); count > 0; count--) this.#bytes();
      for (let count = this.#u32(); count > 0; count--) {
        this.#bytes();
        this.#bytes();
      }
    }
    if (what & MTIME) this.#at += 12;
    if (what & FLAGS) this.#at += 8;
  }

  #bytes(): void {
    const length = this.#u32();
    this.#at += length;
  }

  #u8(): number {
    return this.#batch[this.#at++]!;
  }

  #u32(): number {
    this.#at += 4;
    return this.#batch.readUInt32LE(this.#at - 4);
  }
}
