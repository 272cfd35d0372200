import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ChangeFeed } from '../../src/imageserver/change-feed.js';
import type { Changes } from '../../src/imageserver/change-feed.js';
import { changeImage, withTags } from '../../src/store/change-image.js';
import { IMAGES, namedPath } from '../../src/store/local/layout.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { moveChannel } from '../../src/store/move-channel.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { build, diskMapOf } from './replication/stores.js';

/** What was told: a name each, with what became of it. */
function shown({ isWhole, changes }: Changes): unknown {
  const names = changes.map(({ kind, name, record, damage }) => {
    const state = damage === undefined ? (record === undefined ? ' gone' : '') : ' damaged';
    return `${kind}${kind === 'diskMaps' ? '' : ` ${name}`}${state}`;
  });
  return [isWhole, names.sort()];
}

test('what has changed is told once, whoever has changed it, and all to who does not know', async t => {
  const location = join(temporaryDirectory(t), 'store');
  const store = await openLocalStore(location, { create: true });
  t.teardown(() => store.close());
  const feed = new ChangeFeed(store);
  const empty = await feed.since(undefined);
  t.deepEqual(shown(empty), [true, []]);
  const one = await build(store, 'os/a/1', ['a']);
  await build(store, 'os/a/2', ['b']);
  const first = await feed.since(empty.position);
  t.deepEqual(shown(first), [false, ['image os/a/1', 'image os/a/2']]);
  t.deepEqual(shown(await feed.since(first.position)), [false, []]);

  await changeImage(store, 'os/a/1', each => withTags(each, { set: new Map([['k', 'v']]), remove: [] }));
  await moveChannel(store, { stream: 'os/a', name: 'stable' }, 'os/a/2', { movedAt: new Date() });
  await store.keepDiskMap(one.digest, diskMapOf('disk'));
  const second = await feed.since(first.position);
  t.deepEqual(shown(second), [false, ['channel os/a/stable', 'diskMaps', 'image os/a/1']]);
  await store.remove('os/a/1');
  const third = await feed.since(second.position);
  t.deepEqual(shown(third), [false, ['diskMaps gone', 'image os/a/1 gone']]);
  // Who was away meanwhile is told all of it, and who comes anew nothing of what has gone.
  const all = ['channel os/a/stable', 'diskMaps gone', 'image os/a/1 gone'];
  t.deepEqual(shown(await feed.since(first.position)), [false, all]);
  t.deepEqual(shown(await feed.since(undefined)), [true, ['channel os/a/stable', 'image os/a/2']]);

  // Another run of the server knows no positions of this one, and nor does this one those that it never gave.
  const other = new ChangeFeed(store);
  t.deepEqual(shown(await other.since(third.position)), [true, ['channel os/a/stable', 'image os/a/2']]);
  const { teller, number } = third.position;
  const later = await feed.since({ teller, number: number + 1 });
  t.deepEqual(shown(later), [true, ['channel os/a/stable', 'image os/a/2']]);

  await build(store, 'os/a/1', ['a']);
  t.deepEqual(shown(await feed.since(third.position)), [false, ['diskMaps', 'image os/a/1']]);
});

test('a record that is damaged is told of, and when it is mended as well', async t => {
  const location = join(temporaryDirectory(t), 'store');
  const store = await openLocalStore(location, { create: true });
  t.teardown(() => store.close());
  await build(store, 'os/a/1', ['a']);
  await build(store, 'os/a/2', ['b']);
  const feed = new ChangeFeed(store);
  const file = join(location, namedPath(IMAGES, 'os/a/1'));
  const good = readFileSync(file);
  writeFileSync(file, good.subarray(1));
  const first = await feed.since(undefined);
  t.deepEqual(shown(first), [true, ['image os/a/1 damaged', 'image os/a/2']]);
  writeFileSync(file, good);
  t.deepEqual(shown(await feed.since(first.position)), [false, ['image os/a/1']]);
});
