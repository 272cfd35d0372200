import { setTimeout } from 'node:timers/promises';
import test from 'ava';
import { Revisions } from '../../src/imageserver/revisions.js';
import type { Store } from '../../src/store/store.js';

/** Nobody waits for so long. */
const NEVER_MILLISECONDS = 1 << 30;

test('who watches hears at once of a change that was made here, even while the store is being looked at', async t => {
  let current = 'a';
  const looks: (() => void)[] = [];
  const store = {
    revision: async (): Promise<string> => {
      const found = current;
      await new Promise<void>(resolve => looks.push(resolve));
      return found;
    },
  };
  const look = async (): Promise<void> => {
    while (looks.length === 0) await setTimeout(1);
    looks.shift()!();
  };
  const revisions = new Revisions(store as unknown as Store, NEVER_MILLISECONDS);
  const controller = new AbortController();
  const watch = revisions.watch(controller.signal);
  const first = watch.next();
  await look();
  t.deepEqual(await first, { done: false, value: 'a' });

  // A second watcher looks while the change is made, which the look does not see.
  const other = revisions.watch(controller.signal);
  const early = other.next();
  while (looks.length === 0) await setTimeout(1);
  current = 'b';
  const next = watch.next();
  revisions.poke();
  looks.shift()!();
  t.deepEqual(await early, { done: false, value: 'a' });
  const again = other.next();
  await look();
  for (const heard of [next, again]) t.deepEqual(await heard, { done: false, value: 'b' });
  controller.abort();
  t.true((await watch.next()).done);
});
