import test from 'ava';
import { SendingLimits } from '../../../src/cloud/aws/sending-limits.js';

/** How many blocks each of so many snapshots may have at hand while all of them are sent. */
async function atHand(limits: SendingLimits, snapshots: number): Promise<number> {
  let count = 0;
  let nest = (): Promise<void> => {
    count = limits.atHand;
    return Promise.resolve();
  };
  for (let at = 0; at < snapshots; at++) {
    const inner = nest;
    nest = () => limits.sending(inner);
  }
  await nest();
  return count;
}

test('what waits for its turn is bounded by what can be on its way, however many snapshots there are', async t => {
  const limits = new SendingLimits({ perSnapshot: 32, together: 64 });
  t.is(await atHand(limits, 1), 32);
  t.is(await atHand(limits, 4), 32);
  t.is(await atHand(limits, 8), 16);
  t.is(await atHand(limits, 20), 7);
  t.is(await atHand(limits, 200), 2);
});

test('snapshots that are done, or have failed, leave their share to the others', async t => {
  const limits = new SendingLimits({ perSnapshot: 32, together: 16 });
  const failing = Array.from({ length: 10 }, () =>
    limits.sending(() => Promise.reject(new Error('the line is cut'))),
  );
  t.is(limits.atHand, 4);
  await Promise.allSettled(failing);
  t.is(limits.atHand, 32);
});

test('blocks of all snapshots share the turns', async t => {
  const limits = new SendingLimits({ perSnapshot: 4, together: 3 });
  let [now, most] = [0, 0];
  const block = () =>
    limits.within(async () => {
      most = Math.max(most, ++now);
      await new Promise(setImmediate);
      now--;
    });
  await Promise.all([1, 2, 3].map(() => limits.sending(() => Promise.all([1, 2, 3, 4].map(block)))));
  t.is(most, 3);
});
