import type { SentBlocks } from '../cloud/cloud.js';
import type { Journal } from './journal.js';

/**
 * Of the blocks that have arrived so many are not yet noted at most, besides those whose note is being written: after a
 * kill these are sent again.
 */
const UNNOTED_SHARE = 1 / 64;

/** The blocks of a target's disks that have arrived, as the journal of the run tells. */
export class JournalledBlocks implements SentBlocks {
  readonly #journal: Journal;
  readonly #target: string;
  readonly #known = new Map<string, Set<number>>();
  #waiting: { diskId: string; numbers: number[] } | undefined;
  #added = 0;
  #written: Promise<void> = Promise.resolve();

  constructor(journal: Journal, target: string) {
    this.#journal = journal;
    this.#target = target;
    for (const record of journal.records) {
      if (record.record !== 'sent' || record.target !== target) continue;
      const known = this.#known.get(record.diskId) ?? new Set();
      for (const number of record.blocks) known.add(number);
      this.#known.set(record.diskId, known);
    }
  }

  has(diskId: string, number: number): boolean {
    return this.#known.get(diskId)?.has(number) === true;
  }

  add(diskId: string, number: number): void {
    if (this.#waiting !== undefined && this.#waiting.diskId !== diskId) this.#write();
    this.#waiting ??= { diskId, numbers: [] };
    this.#waiting.numbers.push(number);
    this.#added++;
    if (this.#waiting.numbers.length >= this.#added * UNNOTED_SHARE) this.#write();
  }

  /** Throws `NO_SPACE`, `NO_PERMISSION` when the journal cannot be written. */
  async flush(): Promise<void> {
    this.#write();
    await this.#written;
  }

  #write(): void {
    if (this.#waiting === undefined) return;
    const { diskId, numbers } = this.#waiting;
    this.#waiting = undefined;
    const blocks = numbers.sort((a, b) => a - b);
    const record = { record: 'sent', target: this.#target, diskId, blocks } as const;
    const before = this.#written;
    // What a power cut takes of it is sent again; a kill takes nothing of what is written, and waiting for the disk holds it up.
    this.#written = this.#journal.note(record).then(() => before);
    // Whoever flushes learns of it.
    this.#written.catch(() => undefined);
  }
}
