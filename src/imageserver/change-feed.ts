import { randomUUID } from 'node:crypto';
import { encodeChannel } from '../store/channel.js';
import { readAll } from '../store/read-all.js';
import { encodeRecord } from '../store/record.js';
import type { ChangePosition, Store } from '../store/store.js';

/** Names of what has gone that are remembered; who was away while more of them went is told all. */
const MOST_GONE = 10_000;

/** What has a name, and changes. */
export interface Change {
  kind: 'image' | 'channel' | 'diskMaps';
  name: string;
  /** As stores keep it; absent when it has gone, or cannot be read. */
  record?: Buffer;
  /** Why it cannot be read. */
  damage?: string;
}

export interface Changes {
  position: ChangePosition;
  isWhole: boolean;
  changes: Change[];
}

/**
 * Tells what has changed in a store. It is read when its revision is another one, once for all who ask; what each thing was
 * last, and when that was found, is kept in memory. So a position is never missed, whoever made the change, and after a
 * restart, when no position is known, all is told.
 */
export class ChangeFeed {
  readonly #store: Store;
  readonly #teller = randomUUID();
  readonly #known = new Map<string, { number: number; change: Change }>();
  #number = 0;
  /** What went before that is forgotten. */
  #forgotten = 0;
  #gone = 0;
  #hasDamage = false;
  #revision: string | undefined;
  #work: Promise<void> | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  async since(position: ChangePosition | undefined): Promise<Changes> {
    // What is being read may have been read before the caller's change.
    await this.#work?.catch(() => undefined);
    this.#work ??= this.#read().finally(() => {
      this.#work = undefined;
    });
    await this.#work;
    const from = position?.teller === this.#teller ? position.number : -1;
    const isWhole = from < this.#forgotten || from > this.#number;
    const changes = [...this.#known.values()]
      .filter(({ number, change }) => (isWhole ? !hasGone(change) : number > from))
      .map(({ change }) => change);
    return { position: { teller: this.#teller, number: this.#number }, isWhole, changes };
  }

  async #read(): Promise<void> {
    const revision = await this.#store.revision();
    // A record that is mended where it lies makes no other revision.
    if (revision === this.#revision && !this.#hasDamage) return;
    const found = changesOf(await readAll(this.#store));
    this.#hasDamage = [...found.values()].some(({ damage }) => damage !== undefined);
    const number = this.#number + 1;
    for (const [key, { change }] of this.#known) {
      if (found.has(key) || hasGone(change)) continue;
      this.#known.set(key, { number, change: { kind: change.kind, name: change.name } });
      this.#number = number;
      this.#gone++;
    }
    for (const [key, change] of found) {
      const before = this.#known.get(key)?.change;
      if (before !== undefined && isSame(before, change)) continue;
      if (before !== undefined && hasGone(before)) this.#gone--;
      this.#known.set(key, { number, change });
      this.#number = number;
    }
    if (this.#gone > MOST_GONE) this.#forget();
    this.#revision = revision;
  }

  #forget(): void {
    for (const [key, { change }] of this.#known) if (hasGone(change)) this.#known.delete(key);
    this.#gone = 0;
    this.#forgotten = this.#number;
  }
}

function changesOf({ images, channels, diskMaps }: Awaited<ReturnType<typeof readAll>>): Map<string, Change> {
  const found = new Map<string, Change>();
  const add = (change: Change): void => void found.set(`${change.kind} ${change.name}`, change);
  for (const [name, image] of images) add({ kind: 'image', name, ...recordOf(image, encodeRecord) });
  for (const [name, channel] of channels) add({ kind: 'channel', name, ...recordOf(channel, encodeChannel) });
  for (const [name, digests] of diskMaps) add({ kind: 'diskMaps', name, record: Buffer.concat(digests) });
  return found;
}

function recordOf<T>(value: T | Error | undefined, encode: (value: T) => Buffer): Partial<Change> {
  if (value === undefined) return {};
  return value instanceof Error ? { damage: value.message } : { record: encode(value) };
}

function hasGone({ record, damage }: Change): boolean {
  return record === undefined && damage === undefined;
}

function isSame(a: Change, b: Change): boolean {
  if (a.record === undefined || b.record === undefined) return a.record === b.record && a.damage === b.damage;
  return a.record.equals(b.record);
}
