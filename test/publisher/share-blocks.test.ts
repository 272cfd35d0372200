import test from 'ava';
import fc from 'fast-check';
import { DISK_BLOCK_SIZE } from '../../src/image/disk-map.js';
import { shareBlocks } from '../../src/publisher/share-blocks.js';
import type { DiskCapture } from '../../src/rpc/unpacker.js';
import { gather } from '../gather.js';
import { ModelDisk } from '../model/disk.js';

const DISK = ModelDisk.of({ 0: 1 }, DISK_BLOCK_SIZE);

/** A capture whose nth block is the number n. */
function captureOf(read: number[], before: (number: number) => void = () => undefined): DiskCapture {
  return {
    map: DISK.map,
    async *blocks(numbers) {
      for (const number of numbers) {
        before(number);
        read.push(number);
        yield Promise.resolve(Buffer.from([number]));
      }
    },
    close: () => Promise.resolve(),
  };
}

const numbers = fc.uniqueArray(fc.nat(90), { maxLength: 60 }).map(all => all.sort((a, b) => a - b));

test('each gets what it asked for, and every block is read once, in order', async t => {
  const someOf = fc.record({
    wanted: numbers,
    slow: fc.nat(2),
    leavesAfter: fc.option(fc.nat(10), { nil: undefined }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(someOf, { minLength: 1, maxLength: 4 }), async takers => {
      const read: number[] = [];
      const contents = shareBlocks(captureOf(read), takers.length);
      const got = await Promise.all(
        takers.map(async ({ wanted, slow, leavesAfter }, at) => {
          const content = contents[at]!;
          for (let turn = 0; turn < at; turn++) await Promise.resolve();
          const taken: number[] = [];
          for await (const [number] of content.blocks(wanted)) {
            taken.push(number!);
            if (taken.length === leavesAfter) break;
            for (let turn = 0; turn < slow; turn++) await new Promise(setImmediate);
          }
          content.leave();
          return taken;
        }),
      );
      for (const [at, { wanted, leavesAfter }] of takers.entries()) {
        const count = leavesAfter === 0 ? undefined : leavesAfter;
        t.deepEqual(got[at], wanted.slice(0, count));
      }
      t.deepEqual(
        read,
        [...new Set(read)].sort((a, b) => a - b),
      );
    }),
    { numRuns: 60 },
  );
});

test('what goes wrong is told to all', async t => {
  const fail = (number: number): void => {
    if (number === 3) throw new Error('the disk is gone');
  };
  const contents = shareBlocks(captureOf([], fail), 2);
  const calls = contents.map(content => gather(content.blocks([1, 2, 3, 4])));
  for (const call of calls) await t.throwsAsync(call, { message: 'the disk is gone' });
});

test('one that leaves before it has asked holds nobody up', async t => {
  const [first, second] = shareBlocks(captureOf([]), 2);
  const all = gather(first!.blocks([5, 6]));
  second!.leave();
  t.is((await all).length, 2);
});

test('reading waits for the slowest, so that memory is bounded', async t => {
  const read: number[] = [];
  const [fast, slow] = shareBlocks(captureOf(read), 2);
  const wanted = Array.from({ length: 200 }, (_, at) => at);
  const all = gather(fast!.blocks(wanted));
  const blocks = slow!.blocks(wanted)[Symbol.asyncIterator]();
  await blocks.next();
  for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
  t.true(read.length < 25, String(read.length));
  slow!.leave();
  t.is((await all).length, 200);
});
