import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import { inParallel } from '../../src/image/in-parallel.js';

/** Resolves when the signal is aborted. */
async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted)
    await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }));
}

test('what came of each is told in the order of the items', async t => {
  let busy = 0;
  const results = await inParallel([30, 10, 20, 0], 2, async (item, at) => {
    t.true(++busy <= 2);
    for (let turn = 0; turn < item; turn++) await setImmediate();
    busy--;
    return `${String(at)}:${String(item)}`;
  });
  t.deepEqual(results, ['0:30', '1:10', '2:20', '3:0']);
});

test('the first failure stops those that were begun, and is what is thrown', async t => {
  const begun: number[] = [];
  const ended: number[] = [];
  const work = async (item: number, _: number, signal: AbortSignal): Promise<void> => {
    begun.push(item);
    if (item === 1) throw new Error('first');
    await aborted(signal);
    ended.push(item);
    throw new Error('later');
  };
  await t.throwsAsync(inParallel([0, 1, 2, 3], 3, work), { message: 'first' });
  t.deepEqual(begun, [0, 1, 2]);
  t.deepEqual(ended, [0, 2]);
});

test('who wants no more of it stops it', async t => {
  const controller = new AbortController();
  const work = async (item: number, _: number, signal: AbortSignal): Promise<void> => {
    if (item === 1) controller.abort();
    await aborted(signal);
  };
  await t.throwsAsync(inParallel([0, 1, 2, 3], 2, work, controller.signal), { code: 'CANCELLED' });
});
