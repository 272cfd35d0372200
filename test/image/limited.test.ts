import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import { limited } from '../../src/image/limited.js';

test('no more are at work than may be, in the order in which they came, whether it succeeds or not', async t => {
  const turn = limited(2);
  const begun: number[] = [];
  let busy = 0;
  const ends = await Promise.allSettled(
    Array.from({ length: 9 }, (_, number) =>
      turn(async () => {
        begun.push(number);
        t.true(++busy <= 2);
        await setImmediate();
        busy--;
        if (number % 3 === 0) throw new Error(String(number));
        return number;
      }),
    ),
  );
  t.deepEqual(begun, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  t.deepEqual(
    ends.map(end => (end.status === 'fulfilled' ? end.value : String(end.reason))),
    ['Error: 0', 1, 2, 'Error: 3', 4, 5, 'Error: 6', 7, 8],
  );
  t.is(await turn(() => Promise.resolve('later')), 'later');
});
