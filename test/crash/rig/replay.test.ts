import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import type { DiskChange, DiskEvent } from './disk-log.js';
import { Random } from './random.js';
import type { Loss } from './replay.js';
import { Replay } from './replay.js';
import { SparseDisk } from './sparse-disk.js';

const SIZE = 8 * 4096;
const SECTOR = 512;

const range = fc
  .tuple(fc.nat({ max: SIZE / SECTOR - 1 }), fc.integer({ min: 1, max: 20 }))
  .map(([first, sectors]) => ({
    offset: first * SECTOR,
    length: Math.min(sectors * SECTOR, SIZE - first * SECTOR),
  }));

const event: fc.Arbitrary<DiskEvent> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(range, fc.integer({ min: 1, max: 255 })).map(([{ offset, length }, fill]) => ({
      ...{ kind: 'write' as const, disk: 0, offset },
      bytes: Buffer.alloc(length, fill),
    })),
  },
  { weight: 1, arbitrary: range.map(at => ({ kind: 'zero' as const, disk: 0, ...at })) },
  { weight: 1, arbitrary: fc.constant({ kind: 'flush' as const, disk: 0 }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'mark' as const, text: 'x' }) },
);

const loss: fc.Arbitrary<Loss> = fc.record({
  kind: fc.constantFrom('none', 'dropped', 'rising', 'falling', 'torn'),
  kept: fc.double({ min: 0, max: 1, noNaN: true }),
  sector: fc.constant(SECTOR),
});

function bytesOf(disk: SparseDisk): Buffer {
  const directory = mkdtempSync(join(tmpdir(), 'replay-'));
  try {
    const path = join(directory, 'disk');
    disk.save(path);
    return readFileSync(path);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function applyTo(bytes: Buffer, change: DiskChange): void {
  if (change.kind === 'write') change.bytes.copy(bytes, change.offset);
  else bytes.fill(0, change.offset, change.offset + change.length);
}

/** The disk after each change since the last flush, the first being what was flushed. */
function versions(events: readonly DiskEvent[]): Buffer[] {
  let all = [Buffer.alloc(SIZE)];
  for (const each of events) {
    if (each.kind === 'flush') all = [all.at(-1)!];
    if (each.kind !== 'write' && each.kind !== 'zero') continue;
    const next = Buffer.from(all.at(-1)!);
    applyTo(next, each);
    all.push(next);
  }
  return all;
}

test('without loss a disk has all that was written, and nothing is lost of what was flushed', t => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 20 }), events => {
      const replay = new Replay([new SparseDisk(SIZE)], events);
      replay.advance(events.length);
      return bytesOf(replay.keep(0)).equals(versions(events).at(-1)!);
    }),
    { numRuns: 100 },
  );
  t.pass();
});

test('whatever is lost, each sector is as it was at some moment since the last flush', t => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 20 }), loss, fc.nat(), (events, how, seed) => {
      const replay = new Replay([new SparseDisk(SIZE)], events);
      replay.advance(events.length);
      const bytes = bytesOf(replay.lose(0, how, new Random(seed)).left);
      const could = versions(events);
      for (let at = 0; at < SIZE; at += SECTOR) {
        const sector = bytes.subarray(at, at + SECTOR);
        if (!could.some(version => version.subarray(at, at + SECTOR).equals(sector))) return false;
      }
      return true;
    }),
    { numRuns: 200 },
  );
  t.pass();
});

test('nothing that is not flushed is sure to arrive', t => {
  const events: DiskEvent[] = [
    { kind: 'write', disk: 0, offset: 0, bytes: Buffer.alloc(4096, 1) },
    { kind: 'flush', disk: 0 },
    { kind: 'write', disk: 0, offset: 0, bytes: Buffer.alloc(4096, 2) },
  ];
  const replay = new Replay([new SparseDisk(SIZE)], events);
  replay.advance(3);
  const { left, lost } = replay.lose(0, { kind: 'dropped', kept: 0, sector: SECTOR }, new Random(1));
  t.true(lost);
  t.is(bytesOf(left)[0], 1);
  t.is(bytesOf(replay.keep(0))[0], 2);
});
