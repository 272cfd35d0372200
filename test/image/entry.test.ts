import test from 'ava';
import fc from 'fast-check';
import type { Segment } from '../../src/image/entry.js';
import { blocksOf, dataSizeOf, holesBetween, segmentsOf } from '../../src/image/entry.js';

/** The size of a file and sorted, separate runs of data in it, aligned or not. */
const sparse = fc
  .record({
    size: fc.nat({ max: 40_000 }),
    steps: fc.array(fc.tuple(fc.nat({ max: 9000 }), fc.nat({ max: 9000 })), { maxLength: 6 }),
  })
  .map(({ size, steps }) => {
    const segments: Segment[] = [];
    let at = 0;
    for (const [gap, length] of steps) {
      segments.push({ offset: BigInt(at + gap), length: BigInt(length) });
      at += gap + length;
    }
    return { size: BigInt(size), segments };
  });

test('a block is a hole just if no byte of it is data, and holes are as long as can be', t => {
  fc.assert(
    fc.property(sparse, ({ size, segments }) => {
      const holes = holesBetween(size, segments);
      const isHole = (block: bigint): boolean =>
        holes.some(({ start, count }) => block >= start && block < start + count);
      for (let block = 0n; block < blocksOf(size); block++) {
        const end = block * 4096n + 4096n < size ? block * 4096n + 4096n : size;
        const hasData = segments.some(
          ({ offset, length }) => length > 0n && offset < end && offset + length > block * 4096n,
        );
        t.is(isHole(block), !hasData);
      }
      for (const [at, { start, count }] of holes.entries()) {
        t.true(count > 0n && start + count <= blocksOf(size));
        if (at > 0) t.true(start > holes[at - 1]!.start + holes[at - 1]!.count);
      }
    }),
  );
});

test('the segments of a file are all that its holes leave', t => {
  fc.assert(
    fc.property(sparse, ({ size, segments }) => {
      const holes = holesBetween(size, segments);
      const data = segmentsOf(size, holes);
      t.deepEqual(holesBetween(size, data), holes);
      t.is(
        dataSizeOf(size, holes),
        data.reduce((sum, segment) => sum + segment.length, 0n),
      );
      t.true(
        data.every(({ offset, length }) => length > 0n && offset % 4096n === 0n && offset + length <= size),
      );
    }),
  );
});

test('a file of 8 EiB with no data is one hole', t => {
  const size = 2n ** 63n - 1n;
  const holes = holesBetween(size, []);
  t.deepEqual(holes, [{ start: 0n, count: 2n ** 51n }]);
  t.deepEqual(segmentsOf(size, holes), []);
});
