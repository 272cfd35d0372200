import type { DiskContent } from '../cloud/cloud.js';
import { ImageUnpackerError } from '../image/error.js';
import type { DiskCapture } from '../rpc/unpacker.js';

/** Blocks that wait for a target that is slower than the others: 8 MiB. */
const MOST_WAITING = 16;

/** The content of a disk, for one of several targets. */
export interface SharedContent extends DiskContent {
  /** Says that this target asks for no more. To be called in the end, whatever happened. */
  leave(): void;
}

/**
 * Reads each block of a captured disk once for all targets. Reading begins when every target has asked for its
 * blocks or has left, and goes on as fast as the slowest of them; memory is bounded.
 */
export function shareBlocks(capture: DiskCapture, targets: number): SharedContent[] {
  const readers = Array.from({ length: targets }, () => new Reader());
  let undecided = targets;
  const decide = (reader: Reader, numbers: readonly number[]): void => {
    if (reader.wanted !== undefined) return;
    reader.wanted = numbers;
    if (--undecided === 0) void pump(capture, readers);
  };
  return readers.map(reader => ({
    map: capture.map,
    blocks: numbers => {
      decide(reader, numbers);
      return reader.take(numbers.length);
    },
    leave: () => {
      reader.leave();
      decide(reader, []);
    },
  }));
}

/** Reads what is wanted by any of the readers; whatever goes wrong, they are told. */
async function pump(capture: DiskCapture, readers: readonly Reader[]): Promise<void> {
  const numbers = wantedByAny(readers);
  try {
    let at = 0;
    for await (const block of numbers.length === 0 ? [] : capture.blocks(numbers)) {
      const number = numbers[at++]!;
      for (const reader of readers) if (reader.wantsNext(number)) await reader.give(block);
      if (readers.every(({ left }) => left)) return;
    }
    for (const reader of readers)
      reader.end(new ImageUnpackerError('INTERNAL', 'The capture ended too early'));
  } catch (reason) {
    for (const reader of readers) reader.end(reason);
  }
}

function wantedByAny(readers: readonly Reader[]): number[] {
  const all = new Set<number>();
  for (const { wanted = [] } of readers) for (const number of wanted) all.add(number);
  return [...all].sort((a, b) => a - b);
}

/** The blocks of one target, in order, from who reads them to who writes them. */
class Reader {
  /** By number, ascending, as they are given. */
  wanted: readonly number[] | undefined;
  left = false;
  #given = 0;
  readonly #waiting: Buffer[] = [];
  /** Why nothing more comes. */
  #ended: { reason: unknown } | undefined;
  /** Wakes whoever waits at the other end. */
  #wake: () => void = () => undefined;

  wantsNext(number: number): boolean {
    return !this.left && this.wanted?.[this.#given] === number;
  }

  /** Hands over the next block when there is room for it. */
  async give(block: Buffer): Promise<void> {
    this.#given++;
    while (this.#waiting.length >= MOST_WAITING && !this.left) await this.#change();
    this.#waiting.push(block);
    this.#wake();
  }

  end(reason: unknown): void {
    this.#ended = { reason };
    this.#wake();
  }

  leave(): void {
    this.left = true;
    this.#waiting.length = 0;
    this.#wake();
  }

  async *take(count: number): AsyncGenerator<Buffer, void, undefined> {
    for (let taken = 0; taken < count;) {
      const block = this.#waiting.shift();
      if (block === undefined) {
        if (this.#ended !== undefined) throw this.#ended.reason;
        await this.#change();
        continue;
      }
      this.#wake();
      taken++;
      yield block;
    }
  }

  /** Resolves when something has changed. Giver and taker never wait at the same time. */
  async #change(): Promise<void> {
    await new Promise<void>(resolve => (this.#wake = resolve));
  }
}
