import { setTimeout } from 'node:timers/promises';
import type { TestFn } from 'ava';
import { sha512 } from '../../src/image/digest.js';
import { changeImage, withExpiry, withTags } from '../../src/store/change-image.js';
import { currentMove } from '../../src/store/channel.js';
import { expireImages } from '../../src/store/expire.js';
import { findImage } from '../../src/store/find-image.js';
import { latestOf } from '../../src/store/latest.js';
import { moveChannel } from '../../src/store/move-channel.js';
import type { Store } from '../../src/store/store.js';
import { recordOf } from '../model/image-record.js';
import type { MakeStore } from './store.js';

const SOON = '2026-06-01T00:00:00.000Z';
const LATE = '2027-06-01T00:00:00.000Z';
const BETWEEN = new Date('2026-12-01T00:00:00.000Z');
const STABLE = { stream: 's', name: 'stable' };

const digestOf = (text: string): string => sha512(Buffer.from(text)).toString('hex');

/** What every store promises of the life of images. */
export function testLife(test: TestFn, kind: string, make: MakeStore): void {
  testChanges(test, kind, make);
  testNames(test, kind, make);
  testChannels(test, kind, make);
  testExpiry(test, kind, make);
  testRevision(test, kind, make);
}

function testChanges(test: TestFn, kind: string, make: MakeStore): void {
  test(`${kind}: expiry and tags of an image change, if it is what it was`, async t => {
    const { store, reopen } = await make(t);
    const before = recordOf('s/a', undefined, { expiresAt: SOON, tags: { a: '1', b: '2' } });
    await store.create(before);
    const changed = await changeImage(store, 's/a', record => withExpiry(record, LATE, false));
    const next = { ...before, expiresAt: LATE };
    t.deepEqual(changed, next);
    t.deepEqual(await (await reopen()).image('s/a'), next);
    await t.throwsAsync(store.replace(before, before), { code: 'IMAGE_CHANGED', message: /s\/a/ });
    // The order of tags is nothing that is kept on the way.
    const tagged = { ...next, tags: { c: '3' } };
    await store.replace(tagged, { ...next, tags: { b: '2', a: '1' } });
    t.deepEqual(await store.image('s/a'), tagged);
    const nobody = recordOf('s/b');
    await t.throwsAsync(store.replace(nobody, nobody), { code: 'IMAGE_UNKNOWN' });
  });

  test(`${kind}: of changes at the same time none is lost`, async t => {
    const { store, reopen } = await make(t);
    await store.create(recordOf('s/a'));
    const other = await reopen();
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
    await Promise.all(
      keys.map((key, at) =>
        changeImage(at % 2 === 0 ? store : other, 's/a', record =>
          withTags(record, { set: new Map([[key, '']]), remove: [] }),
        ),
      ),
    );
    t.deepEqual(Object.keys((await store.image('s/a')).tags).sort(), keys);
  });
}

function testNames(test: TestFn, kind: string, make: MakeStore): void {
  test(`${kind}: the name of a deleted image does not come to mean other content unless it is told to`, async t => {
    const { store, reopen } = await make(t);
    const [first, other] = [recordOf('s/a'), recordOf('s/a', undefined, { digest: digestOf('other') })];
    await store.create(first);
    await store.remove('s/a');
    const again = await reopen();
    await t.throwsAsync(again.create(other), { code: 'IMAGE_DELETED', message: /s\/a/ });
    t.deepEqual(await again.list(), []);
    // The same content is what the name has always meant.
    await again.create(first);
    await again.remove('s/a');
    await again.create(other, { reuseName: true });
    t.deepEqual(await store.image('s/a'), other);
    await store.remove('s/a');
    await t.throwsAsync(store.create(first), { code: 'IMAGE_DELETED' });
  });

  test(`${kind}: an image is removed only if it is still what is expected, where that is said`, async t => {
    const { store } = await make(t);
    const record = recordOf('s/a', undefined, { expiresAt: SOON });
    await store.create(record);
    const expected = { ...record, expiresAt: LATE };
    await t.throwsAsync(store.remove('s/a', { expected }), { code: 'IMAGE_CHANGED' });
    t.deepEqual(await store.image('s/a'), record);
    await store.remove('s/a', { expected: record });
    await t.throwsAsync(store.remove('s/a', { expected: record }), { code: 'IMAGE_UNKNOWN' });
  });
}

function testChannels(test: TestFn, kind: string, make: MakeStore): void {
  const movedAt = new Date('2026-01-02T03:04:05.678Z');

  test(`${kind}: a channel is moved from image to image, and has a history`, async t => {
    const { store, reopen } = await make(t);
    for (const name of ['s/a', 's/b']) await store.create(recordOf(name));
    await moveChannel(store, STABLE, 's/a', { movedAt });
    t.is((await findImage(store, 's@stable')).name, 's/a');
    await moveChannel(store, STABLE, 's/b', { movedAt, from: 's/a' });
    const other = await reopen();
    t.is((await findImage(other, 's@stable')).name, 's/b');
    const moves = ['s/a', 's/b'].map(image => ({
      image,
      digest: digestOf(image),
      movedAt: movedAt.toISOString(),
    }));
    t.deepEqual(await other.channels(), [{ ...STABLE, moves }]);
    t.deepEqual(await other.channels('t'), []);
    // To move it where it is is no move.
    await moveChannel(other, STABLE, 's/b', { movedAt });
    t.is((await store.channel('s', 'stable'))?.moves.length, 2);
  });

  test(`${kind}: a channel that does not name what was expected stays`, async t => {
    const { store } = await make(t);
    for (const name of ['s/a', 's/b']) await store.create(recordOf(name));
    await t.throwsAsync(moveChannel(store, STABLE, 's/a', { movedAt, from: 's/b' }), {
      code: 'CHANNEL_CHANGED',
    });
    await moveChannel(store, STABLE, 's/a', { movedAt, from: null });
    await t.throwsAsync(moveChannel(store, STABLE, 's/b', { movedAt, from: null }), {
      code: 'CHANNEL_CHANGED',
    });
    const channel = await store.channel('s', 'stable');
    await t.throwsAsync(store.replaceChannel(channel!, undefined), { code: 'CHANNEL_CHANGED' });
    t.is((await findImage(store, 's@stable')).name, 's/a');
  });

  test(`${kind}: of many who move a channel at once from the same image, one does`, async t => {
    const { store, reopen } = await make(t);
    const names = ['s/a', 's/b', 's/c', 's/d'];
    for (const name of names) await store.create(recordOf(name));
    const stores = [store, await reopen()];
    const moved = await Promise.allSettled(
      names.map((name, at) => moveChannel(stores[at % 2]!, STABLE, name, { movedAt, from: null })),
    );
    t.is(moved.filter(({ status }) => status === 'fulfilled').length, 1);
    t.is((await store.channel('s', 'stable'))?.moves.length, 1);
    // Where it does not matter from what, each has its turn.
    await Promise.all(names.map((name, at) => moveChannel(stores[at % 2]!, STABLE, name, { movedAt })));
    const history = (await store.channel('s', 'stable'))!.moves.map(({ image }) => image);
    t.deepEqual([...new Set(history)].sort(), names);
  });

  test(`${kind}: a channel names images of its stream that are there`, async t => {
    const { store } = await make(t);
    await store.create(recordOf('s/t/a'));
    await t.throwsAsync(moveChannel(store, STABLE, 's/t/a', { movedAt }), { code: 'IMAGE_NAME' });
    await t.throwsAsync(moveChannel(store, STABLE, 's/a', { movedAt }), { code: 'IMAGE_UNKNOWN' });
    const move = { image: 's/a', digest: digestOf('s/a'), movedAt: movedAt.toISOString() };
    await t.throwsAsync(store.replaceChannel({ ...STABLE, moves: [move] }, undefined), {
      code: 'IMAGE_UNKNOWN',
    });
    for (const wrong of ['s@', '@stable', 's@a@b', 's@../x', '../s@x'])
      await t.throwsAsync(findImage(store, wrong), { code: 'IMAGE_NAME' });
    await t.throwsAsync(findImage(store, 's@stable'), { code: 'CHANNEL_UNKNOWN' });
  });

  test(`${kind}: a channel that is taken away names nothing, and remembers`, async t => {
    const { store } = await make(t);
    await store.create(recordOf('s/a'));
    await moveChannel(store, STABLE, 's/a', { movedAt });
    await moveChannel(store, STABLE, null, { movedAt });
    await t.throwsAsync(findImage(store, 's@stable'), { code: 'CHANNEL_UNKNOWN' });
    t.deepEqual(await store.channels(), []);
    await t.throwsAsync(moveChannel(store, STABLE, null, { movedAt }), { code: 'CHANNEL_UNKNOWN' });
    await moveChannel(store, STABLE, 's/a', { movedAt });
    t.deepEqual(
      (await store.channel('s', 'stable'))?.moves.map(({ image }) => image),
      ['s/a', null, 's/a'],
    );
  });

  test(`${kind}: an image that a channel names is not removed unless it is told to be`, async t => {
    const { store } = await make(t);
    await store.create(recordOf('s/a'));
    await moveChannel(store, STABLE, 's/a', { movedAt });
    await t.throwsAsync(store.remove('s/a'), { code: 'IMAGE_IN_USE', message: /s@stable/ });
    await store.image('s/a');
    await store.remove('s/a', { force: true });
    await t.throwsAsync(findImage(store, 's@stable'), { code: 'IMAGE_UNKNOWN' });
    await store.create(recordOf('s/a', undefined, { digest: digestOf('other') }), { reuseName: true });
    await t.throwsAsync(findImage(store, 's@stable'), { code: 'IMAGE_UNKNOWN', message: /s@stable/ });
  });

  test(`${kind}: a channel that is damaged is never followed, and mended by moving it`, async t => {
    const { store, damageChannel } = await make(t);
    await store.create(recordOf('s/a'));
    await moveChannel(store, STABLE, 's/a', { movedAt });
    await damageChannel('s', 'stable');
    await t.throwsAsync(findImage(store, 's@stable'), { code: 'STORE_DAMAGED', message: /stable/ });
    await t.throwsAsync(moveChannel(store, STABLE, 's/a', { movedAt, from: 's/a' }), {
      code: 'STORE_DAMAGED',
    });
    await moveChannel(store, STABLE, 's/a', { movedAt });
    t.is(currentMove((await store.channel('s', 'stable'))!).image, 's/a');
  });
}

function testExpiry(test: TestFn, kind: string, make: MakeStore): void {
  test(`${kind}: images that have expired are removed, but for what a channel names`, async t => {
    const { store } = await make(t);
    await store.create(recordOf('s/gone', undefined, { expiresAt: SOON }));
    await store.create(recordOf('s/named', undefined, { expiresAt: SOON }));
    await store.create(recordOf('s/later', undefined, { expiresAt: LATE }));
    await store.create(recordOf('t/gone', undefined, { expiresAt: SOON }));
    await store.create(recordOf('t/never'));
    await moveChannel(store, STABLE, 's/named', { movedAt: BETWEEN });
    const would = await expireImages(store, { now: BETWEEN, dryRun: true });
    t.is((await store.list()).length, 5);
    t.deepEqual(would.removed.map(({ name }) => name).sort(), ['s/gone', 't/gone']);
    const done = await expireImages(store, { now: BETWEEN, dryRun: false, stream: 's' });
    t.deepEqual(done, {
      removed: [{ name: 's/gone', digest: digestOf('s/gone'), expiresAt: SOON }],
      kept: [{ name: 's/named', expiresAt: SOON, channel: 's@stable' }],
    });
    t.deepEqual((await store.list()).map(({ name }) => name).sort(), [
      's/later',
      's/named',
      't/gone',
      't/never',
    ]);
  });

  test(`${kind}: an image that is made to last longer while expired ones are removed stays`, async t => {
    const { store } = await make(t);
    const record = recordOf('s/a', undefined, { expiresAt: SOON });
    await store.create(record);
    const longer = { ...record, expiresAt: LATE };
    const slow = new Proxy(store, {
      get(target, key) {
        if (key === 'list') return () => Promise.resolve([record]);
        const value: unknown = Reflect.get(target, key);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    await store.replace(longer, record);
    t.deepEqual(await expireImages(slow, { now: BETWEEN, dryRun: false }), { removed: [], kept: [] });
    t.deepEqual(await store.image('s/a'), longer);
  });

  test(`${kind}: the latest image of a stream is one that has not expired`, async t => {
    const { store } = await make(t);
    await store.create(recordOf('s/old', '2026-01-01T00:00:00.000Z', { expiresAt: LATE }));
    await store.create(recordOf('s/new', '2026-02-01T00:00:00.000Z', { expiresAt: SOON }));
    t.is((await latestOf(store, 's', new Date('2026-03-01T00:00:00.000Z'))).name, 's/new');
    t.is((await latestOf(store, 's', BETWEEN)).name, 's/old');
    await t.throwsAsync(latestOf(store, 's', new Date(LATE)), { code: 'IMAGE_UNKNOWN', message: /expired/ });
  });
}

function testRevision(test: TestFn, kind: string, make: MakeStore): void {
  test(`${kind}: the revision is another one after every change, and settles`, async t => {
    const { store, reopen } = await make(t);
    const other = await reopen();
    const seen = new Set<string>([await other.revision()]);
    const record = recordOf('s/a');
    const map = { size: 524_288n, present: Buffer.from([1]), digests: Buffer.alloc(32, 1) };
    const changes: ((store: Store) => Promise<unknown>)[] = [
      each => each.create(record),
      each => each.replace({ ...record, expiresAt: LATE }, record),
      each => moveChannel(each, STABLE, 's/a', { movedAt: BETWEEN }),
      each => each.keepDiskMap(record.digest, map),
      each => moveChannel(each, STABLE, null, { movedAt: BETWEEN }),
      each => each.remove('s/a'),
    ];
    for (const change of changes) {
      await change(store);
      const revision = await other.revision();
      t.false(seen.has(revision));
      seen.add(revision);
    }
    await setTimeout(300);
    t.is(await other.revision(), await other.revision());
  });
}
