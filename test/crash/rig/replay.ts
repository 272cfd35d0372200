import type { DiskChange, DiskEvent } from './disk-log.js';
import { Random } from './random.js';
import type { SparseDisk } from './sparse-disk.js';

/*
 * Disks as the power may have left them at a moment of a log. What was there when a disk last ended a flush is
 * there. Of what was written since, anything may be missing:
 *
 *   none        all of it arrived
 *   dropped     each write arrived or not
 *   rising      the disk wrote in the order of addresses, and came so far
 *   falling     the same from the highest address down: data mostly lies higher than what tells of it
 *   torn        as dropped, and of a write that arrived, only some sectors
 *
 * A sector never goes back: where two writes of a sector arrived, it has what the later one wrote.
 */

/** How a disk loses what it was not told to flush. */
export interface Loss {
  kind: 'none' | 'dropped' | 'rising' | 'falling' | 'torn';
  /** What part of it arrives. */
  kept: number;
  /** Bytes that a disk writes wholly or not at all. */
  sector: number;
}

export const NOTHING_LOST: Loss = { kind: 'none', kept: 1, sector: 512 };

/** The changes of `pending` that arrived, in the order in which they were made. */
export function surviving(pending: readonly DiskChange[], loss: Loss, random: Random): DiskChange[] {
  switch (loss.kind) {
    case 'none':
      return [...pending];
    case 'dropped':
      return pending.filter(() => random.chance(loss.kept));
    case 'rising':
    case 'falling': {
      const direction = loss.kind === 'rising' ? 1 : -1;
      const written = [...pending].sort((a, b) => direction * (a.offset - b.offset));
      const arrived = new Set(written.slice(0, Math.round(pending.length * loss.kept)));
      return pending.filter(change => arrived.has(change));
    }
    case 'torn':
      return pending
        .filter(() => random.chance(loss.kept))
        .flatMap(change => (random.chance(0.5) ? [change] : torn(change, loss.sector, random)));
  }
}

/** Some of the sectors of a change: the first ones, the last ones, or any. */
function torn(change: DiskChange, sector: number, random: Random): DiskChange[] {
  const length = change.kind === 'write' ? change.bytes.length : change.length;
  const sectors = Math.ceil(length / sector);
  const cut = random.below(sectors + 1);
  const part = (from: number, to: number): DiskChange[] => {
    const [start, end] = [from * sector, Math.min(to * sector, length)];
    if (end <= start) return [];
    const { disk, offset } = change;
    return change.kind === 'write'
      ? [{ kind: 'write', disk, offset: offset + start, bytes: change.bytes.subarray(start, end) }]
      : [{ kind: 'zero', disk, offset: offset + start, length: end - start }];
  };
  const how = random.pick(change.kind === 'write' ? ['first', 'last', 'any'] : ['first', 'last']);
  if (how === 'first') return part(0, cut);
  if (how === 'last') return part(cut, sectors);
  return Array.from({ length: sectors }, (_, at) => at)
    .filter(() => random.chance(0.5))
    .flatMap(at => part(at, at + 1));
}

/** Goes through a log, forwards only, and tells what may be on the disks. */
export class Replay {
  readonly #events: readonly DiskEvent[];
  readonly #flushed: SparseDisk[];
  readonly #pending: DiskChange[][];
  #at = 0;

  constructor(disks: readonly SparseDisk[], events: readonly DiskEvent[]) {
    this.#events = events;
    this.#flushed = disks.map(disk => disk.copy());
    this.#pending = disks.map(() => []);
  }

  /** Goes on until `count` events have happened. */
  advance(count: number): void {
    if (count < this.#at) throw new Error('A replay does not go back');
    for (; this.#at < count; this.#at++) {
      const event = this.#events[this.#at]!;
      if (event.kind === 'flush') this.#flush(event.disk);
      else if (event.kind !== 'mark') this.#pending[event.disk]!.push(event);
    }
  }

  /** A disk as the power left it, and whether anything is missing that had been written. */
  lose(disk: number, loss: Loss, random: Random): { left: SparseDisk; lost: boolean } {
    const left = this.#flushed[disk]!.copy();
    const pending = this.#pending[disk]!;
    const arrived = surviving(pending, loss, random);
    for (const change of arrived) apply(left, change);
    return { left, lost: bytesOf(arrived) < bytesOf(pending) };
  }

  /** A disk with all that had been written. */
  keep(disk: number): SparseDisk {
    return this.lose(disk, NOTHING_LOST, new Random(0)).left;
  }

  #flush(disk: number): void {
    for (const change of this.#pending[disk]!) apply(this.#flushed[disk]!, change);
    this.#pending[disk] = [];
  }
}

function bytesOf(changes: readonly DiskChange[]): number {
  return changes.reduce(
    (sum, change) => sum + (change.kind === 'write' ? change.bytes.length : change.length),
    0,
  );
}

function apply(disk: SparseDisk, change: DiskChange): void {
  if (change.kind === 'write') disk.write(change.offset, change.bytes);
  else disk.zero(change.offset, change.length);
}
