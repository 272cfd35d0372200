import { setTimeout } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { ImageUnpackerError } from '../../../src/image/error.js';
import {
  type End,
  follow,
  type FollowOptions,
  SYSTEM_CLOCK,
} from '../../../src/imageserver/replication/follow.js';
import type { ReplicationEvent } from '../../../src/imageserver/replication/options.js';
import { silentProgress } from '../../../src/image/progress.js';
import { changeImage, withTags } from '../../../src/store/change-image.js';
import { collect } from '../../../src/store/local/collect.js';
import type { Store } from '../../../src/store/store.js';
import { build, contentOf, faultsOf, makeEnds, makeStores, observed } from './stores.js';

const DEADLINE_MILLISECONDS = 120_000;

async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  const end = Date.now() + DEADLINE_MILLISECONDS;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error('it did not happen');
    await setTimeout(10);
  }
}

/** Follows until the test ends, or `stop` is called. */
function begin(t: ExecutionContext, source: End, destination: End, more: Partial<FollowOptions> = {}) {
  const controller = new AbortController();
  const events: ReplicationEvent[] = [];
  const { signal } = controller;
  const onEvent = (event: ReplicationEvent): void => void events.push(event);
  const over = follow(source, destination, {
    clock: SYSTEM_CLOCK,
    signal,
    onEvent,
    pollMilliseconds: 20,
    ...more,
  });
  const stop = async (): Promise<void> => {
    controller.abort();
    await over;
  };
  t.teardown(stop);
  return { events, stop };
}

const names = async (store: Store): Promise<string[]> => (await store.list()).map(({ name }) => name);
const kinds = (events: readonly ReplicationEvent[]): string[] => events.map(({ kind }) => kind);

test('what changes at the source arrives by itself, through a chain', async t => {
  const [first, second, third] = (await makeStores(t, 'a', 'b', 'c')) as [Store, Store, Store];
  begin(t, first, second);
  const { events } = begin(t, second, third);
  await build(first, 'os/a/1', ['a', 'b']);
  await until(async () => (await names(third)).includes('os/a/1'));
  await build(first, 'os/a/2', ['a', 'c']);
  await changeImage(first, 'os/a/1', record => withTags(record, { set: new Map([['k', 'v']]), remove: [] }));
  await until(
    async () => (await names(third)).length === 2 && (await third.image('os/a/1')).tags['k'] === 'v',
  );
  await first.remove('os/a/1');
  await first.remove('os/a/2');
  await until(async () => (await names(third)).length === 0);
  t.true(kinds(events).includes('caught-up'));
  t.false(kinds(events).includes('failed'));
});

test('a source that is away is caught up with when it is back', async t => {
  const { source, destination } = await makeEnds(t);
  let isAway = false;
  const seen = observed(source, () => {
    if (isAway) throw new ImageUnpackerError('TIMEOUT', 'The server does not answer');
  });
  const { events } = begin(t, seen, destination, { random: () => 0 });
  await build(source, 'os/a/1', ['a']);
  await until(() => kinds(events).includes('caught-up'));
  await until(async () => (await names(destination)).length === 1);
  isAway = true;
  await until(() => kinds(events).filter(kind => kind === 'failed').length >= 2);
  const waits = events.flatMap(event => (event.kind === 'failed' ? [event.retryInSeconds] : []));
  t.deepEqual(waits.slice(0, 2), [0.25, 0.5]);
  await build(source, 'os/a/2', ['b']);
  await source.remove('os/a/1');
  isAway = false;
  await until(async () => (await names(destination)).join() === 'os/a/2');
  await until(() => events.at(-1)?.kind === 'caught-up');
  t.deepEqual(await contentOf(destination), await contentOf(source));
});

test('what was changed at the destination is put right in time', async t => {
  const { source, destination } = await makeEnds(t);
  await build(source, 'os/a/1', ['a']);
  let skew = 0;
  let turns = 0;
  const clock: typeof SYSTEM_CLOCK = {
    now: () => Date.now() + skew,
    sleep: async (milliseconds, signal) => {
      turns++;
      await SYSTEM_CLOCK.sleep(milliseconds, signal);
    },
  };
  const afterTurns = async (count: number): Promise<void> => {
    const end = turns + count;
    await until(() => turns >= end);
  };
  const { events } = begin(t, source, destination, { clock });
  await until(() => kinds(events).includes('caught-up'));
  // A local store is not sure that nothing has changed before the clock of its files has gone on.
  await setTimeout(500);
  await afterTurns(2);
  await destination.remove('os/a/1');
  await afterTurns(3);
  t.deepEqual(await names(destination), []);
  skew = 61_000;
  await until(async () => (await names(destination)).length === 1);
});

test('an image that cannot be replicated is tried again, and others are not kept waiting', async t => {
  const { source, destination } = await makeEnds(t);
  await build(source, 'os/a/1', ['a']);
  await build(source, 'os/b/1', ['b']);
  let isDamaged = true;
  const damaged = new Proxy(source, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (property === 'image') {
        return async (name: string) => {
          if (isDamaged && name === 'os/a/1') throw new ImageUnpackerError('STORE_DAMAGED', 'It is damaged');
          return target.image(name);
        };
      }
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  const { events } = begin(t, damaged, destination, { random: () => 0 });
  await until(() => kinds(events).filter(kind => kind === 'refused').length >= 2);
  t.deepEqual(await names(destination), ['os/b/1']);
  t.false(kinds(events).includes('caught-up'));
  await build(source, 'os/b/2', ['c']);
  await until(async () => (await names(destination)).length === 2);
  isDamaged = false;
  await until(async () => (await names(destination)).length === 3);
  t.deepEqual(await faultsOf(destination), []);
});

test('the end of it comes at once, in the middle of a large object too', async t => {
  const { source, destination } = await makeEnds(t);
  await build(source, 'os/a/1', ['x'.repeat(8 << 20)]);
  let chunks = 0;
  const controller = new AbortController();
  const seen = observed(source, method => {
    if (method === 'stream' && ++chunks === 3) controller.abort();
  });
  const events: ReplicationEvent[] = [];
  await follow(seen, destination, {
    clock: SYSTEM_CLOCK,
    signal: controller.signal,
    onEvent: event => void events.push(event),
  });
  t.true(chunks <= 4);
  t.deepEqual(await names(destination), []);
  t.deepEqual(
    kinds(events).filter(kind => kind !== 'progress'),
    ['behind'],
  );
});

test('a source is connected to anew when it has failed, and the destination is let go of after each pass', async t => {
  const { source, destination } = await makeEnds(t);
  let [isAway, sources, destinations] = [true, 0, 0];
  const openSource = async (): Promise<Store> => {
    if (isAway) throw new ImageUnpackerError('TIMEOUT', 'The server does not answer');
    sources++;
    return Promise.resolve(
      observed(source, () => {
        if (isAway) throw new ImageUnpackerError('TIMEOUT', 'The connection was cut');
      }),
    );
  };
  const openDestination = async (): Promise<Store> => {
    destinations++;
    return Promise.resolve(destination);
  };
  const more = { random: () => 0, sourceName: 'a server' };
  const { events, stop } = begin(t, openSource, openDestination, more);
  await build(source, 'os/a/1', ['a']);
  await source.close();
  await until(() => kinds(events).includes('failed'));
  isAway = false;
  await until(async () => (await names(destination)).length === 1);
  isAway = true;
  await until(() => kinds(events).at(-1) === 'failed');
  isAway = false;
  await build(source, 'os/a/2', ['b']);
  await source.close();
  await until(async () => (await names(destination)).length === 2);
  await until(() => kinds(events).at(-1) === 'caught-up');
  t.is(sources, 2);
  t.true(destinations >= 2);
  await stop();
  // Nothing holds either of them.
  for (const { location } of [source, destination]) {
    await collect(location, { dryRun: false, progress: silentProgress });
  }
});
