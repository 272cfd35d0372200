import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import { Slots } from '../../../src/cloud/aws/slots.js';

test('so many are at work at once and no more, in the order in which they came, whatever fails', async t => {
  const slots = new Slots(3);
  const began: number[] = [];
  let [now, most] = [0, 0];
  const work = (at: number): Promise<number> =>
    slots.within(async () => {
      began.push(at);
      most = Math.max(most, ++now);
      for (let turns = 0; turns < (at % 4) + 1; turns++) await turn();
      now--;
      if (at % 5 === 0) throw new Error(String(at));
      return at;
    });
  const ended = await Promise.allSettled(Array.from({ length: 40 }, (_, at) => work(at)));
  t.is(most, 3);
  t.deepEqual(
    began,
    [...began].sort((a, b) => a - b),
  );
  t.is(ended.filter(({ status }) => status === 'rejected').length, 8);
  t.is(await slots.within(() => Promise.resolve('free')), 'free');
});
