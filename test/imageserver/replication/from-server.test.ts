import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import test from 'ava';
import { connectStore, serverLocation } from '../../../src/rpc/connect-store.js';
import { startReplication } from '../../../src/imageserver/replication/start.js';
import { IMAGES, namedPath } from '../../../src/store/local/layout.js';
import { openLocalStore } from '../../../src/store/local/store.js';
import type { Store } from '../../../src/store/store.js';
import { serveStore, shortDirectory } from '../serving.js';
import { build, contentOf, faultsOf, observed } from './stores.js';

const DEADLINE_MILLISECONDS = 60_000;

async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  const end = Date.now() + DEADLINE_MILLISECONDS;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error('it did not happen');
    await setTimeout(20);
  }
}

const names = async (store: Store): Promise<string> => (await store.list()).map(({ name }) => name).join();

test('a server tells its replica what has changed; a damaged record keeps nothing else back', async t => {
  const root = shortDirectory(t);
  const [from, to] = [join(root, 'from'), join(root, 'to')];
  let { address, server } = await serveStore(t, from);
  const [source, replica] = [
    await openLocalStore(from, { create: true }),
    await openLocalStore(to, { create: true }),
  ];
  t.teardown(async () => {
    await source.close();
    await replica.close();
  });
  const calls = new Map<string, number>();
  const count = (method: string): void => void calls.set(method, (calls.get(method) ?? 0) + 1);
  const cache = { directory: join(root, 'cache'), maxBytes: 1 << 30 };
  const told: { message: string; facts: object }[] = [];
  const tell = (facts: object, message: string): void => void told.push({ message, facts });
  let changes = 0;
  const replication = startReplication({
    source: 'the source',
    onChange: () => {
      changes++;
    },
    openSource: async signal =>
      watched(await connectStore(serverLocation(address), { cache, signal }), count),
    openDestination: () => openLocalStore(to),
    log: { debug: tell, info: tell, warn: tell, error: tell },
  });
  t.teardown(() => replication.stop());
  await build(source, 'os/a/1', ['a']);
  await until(async () => (await names(replica)) === 'os/a/1');
  await build(source, 'os/a/2', ['b']);
  await until(async () => (await names(replica)) === 'os/a/1,os/a/2');
  await until(() => changes === 2);
  for (const method of ['list', 'channels', 'diskMaps', 'revision'])
    t.is(calls.get(method), undefined, method);
  t.true(calls.get('changes')! >= 2);
  t.is(calls.get('watchRevision'), 1);

  const file = join(from, namedPath(IMAGES, 'os/a/2'));
  const good = readFileSync(file);
  writeFileSync(file, good.subarray(1));
  await build(source, 'os/a/3', ['c']);
  await until(async () => (await names(replica)).includes('os/a/3'));
  t.is(await names(replica), 'os/a/1,os/a/2,os/a/3');
  await until(() => replication.status().refused === 1);
  t.is(replication.status().lastError?.code, 'STORE_DAMAGED');
  t.true(
    told.some(
      ({ message, facts }) =>
        message.includes('cannot be replicated') && 'what' in facts && facts.what === 'os/a/2',
    ),
  );

  // The source is started anew, with the damage and with a change that was made meanwhile.
  await server.stop(0);
  await source.remove('os/a/1');
  ({ address, server } = await serveStore(t, from));
  await until(async () => (await names(replica)) === 'os/a/2,os/a/3');
  writeFileSync(file, good);
  await until(() => replication.status().refused === 0 && replication.status().state === 'following');
  t.deepEqual(await contentOf(replica), await contentOf(source));
  t.deepEqual(await faultsOf(replica), []);

  // A record that is damaged here is brought anew.
  const here = join(to, namedPath(IMAGES, 'os/a/3'));
  writeFileSync(here, readFileSync(here).subarray(1));
  await build(source, 'os/a/4', ['d']);
  await until(async () => (await names(replica).catch(() => '')) === 'os/a/2,os/a/3,os/a/4');
});

/** As `observed`, with the calls that give one thing after the other as they are. */
function watched(store: Store, count: (method: string) => void): Store {
  const counted = observed(store, count);
  return new Proxy(counted, {
    get(target, property) {
      if (property !== 'watchRevision') return Reflect.get(target, property, target) as unknown;
      return (signal: AbortSignal) => {
        count('watchRevision');
        return store.watchRevision!(signal);
      };
    },
  });
}
