import test from 'ava';
import fc from 'fast-check';
import type { Hole } from '../../src/image/entry.js';
import { segmentsOf } from '../../src/image/entry.js';
import { dataRanges } from '../../src/image/other-holes.js';

const BLOCK = 4096;

/** Which blocks of a file are zeros, which of those are holes of one and of the other, and how long its last block is. */
const files = fc.record({
  blocks: fc.array(fc.record({ isZero: fc.boolean(), inOne: fc.boolean(), inOther: fc.boolean() }), {
    maxLength: 12,
  }),
  last: fc.integer({ min: 1, max: BLOCK }),
});

function holesOf(isHole: readonly boolean[]): Hole[] {
  const holes: Hole[] = [];
  for (const [at, hole] of isHole.entries()) {
    if (!hole) continue;
    if (isHole[at - 1] === true) holes.at(-1)!.count++;
    else holes.push({ start: BigInt(at), count: 1n });
  }
  return holes;
}

function dataOf(bytes: Buffer, holes: readonly Hole[]): Buffer {
  return Buffer.concat(
    segmentsOf(BigInt(bytes.length), holes).map(({ offset, length }) =>
      bytes.subarray(Number(offset), Number(offset + length)),
    ),
  );
}

test('the data of a file is made of that of one with other holes', t => {
  fc.assert(
    fc.property(files, ({ blocks, last }) => {
      const whole = Buffer.concat(blocks.map(({ isZero }, at) => Buffer.alloc(BLOCK, isZero ? 0 : at + 1)));
      const bytes = whole.subarray(0, Math.max(0, whole.length - BLOCK + last));
      const one = holesOf(blocks.map(({ isZero, inOne }) => isZero && inOne));
      const other = holesOf(blocks.map(({ isZero, inOther }) => isZero && inOther));
      const found = dataOf(bytes, one);
      const made = dataRanges(BigInt(bytes.length), other, one).map(({ at, length }) =>
        at === undefined ? Buffer.alloc(Number(length)) : found.subarray(Number(at), Number(at + length)),
      );
      t.deepEqual(Buffer.concat(made), dataOf(bytes, other));
    }),
  );
});

test('ranges are as long as they can be, and none is empty', t => {
  t.deepEqual(dataRanges(3n * 4096n, [], [{ start: 1n, count: 1n }]), [
    { at: 0n, length: 4096n },
    { at: undefined, length: 4096n },
    { at: 4096n, length: 4096n },
  ]);
  t.deepEqual(dataRanges(3n * 4096n, [{ start: 1n, count: 2n }], []), [{ at: 0n, length: 4096n }]);
  t.deepEqual(dataRanges(5000n, [{ start: 0n, count: 2n }], []), []);
});
