import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { Queue } from '../../src/unpacker/queue.js';

const never = new AbortController().signal;
const ignore = (): undefined => undefined;

test('one thing is done after another, in order, whether or not it succeeds', async t => {
  const queue = new Queue();
  const seen: string[] = [];
  const work = (name: string, fails = false): Promise<string> =>
    queue.run(never, ignore, async () => {
      seen.push(`${name} begins`);
      await sleep(5);
      seen.push(`${name} ends`);
      if (fails) throw new Error(name);
      return name;
    });
  const results = await Promise.allSettled([work('a'), work('b', true), work('c')]);
  t.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  t.deepEqual(seen, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  t.true(queue.idle);
});

test('who waits is told so, may give up, and lets nobody past by that', async t => {
  const queue = new Queue();
  let release = (): void => undefined;
  const held = queue.run(never, t.fail, () => new Promise<void>(resolve => (release = resolve)));
  await sleep(0);
  const controller = new AbortController();
  let waited = 0;
  const given = queue.run(controller.signal, () => waited++, ignore as never);
  let done = false;
  const last = queue.run(never, ignore, () => Promise.resolve((done = true)));
  controller.abort();
  await t.throwsAsync(given, { code: 'CANCELLED' });
  await sleep(10);
  t.is(waited, 1);
  t.false(done);
  release();
  await Promise.all([held, last]);
  t.true(done);
});

test('no more wait than is sane', async t => {
  const queue = new Queue();
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  const forever = (): Promise<unknown> =>
    queue.run(
      controller.signal,
      ignore,
      () => new Promise(resolve => controller.signal.addEventListener('abort', resolve)),
    );
  const all = Array.from({ length: 33 }, forever);
  await t.throwsAsync(forever(), { code: 'LIMIT_EXCEEDED' });
  controller.abort();
  await Promise.allSettled(all);
  t.true(queue.idle);
});
