import { readdirSync, rmSync, truncateSync, chmodSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { diskDigest } from '../../../src/image/disk-map.js';
import { sha512 } from '../../../src/image/digest.js';
import { ImageUnpackerError } from '../../../src/image/error.js';
import { replicate } from '../../../src/imageserver/replication/replicate.js';
import { changeImage, withExpiry, withTags } from '../../../src/store/change-image.js';
import { moveChannel } from '../../../src/store/move-channel.js';
import { build, collecting, contentOf, diskMapOf, faultsOf, makeEnds, observed } from './stores.js';

const LATE = '2099-01-01T00:00:00.000Z';
const STABLE = { stream: 'os/a', name: 'stable' };
const movedAt = new Date('2026-01-01T00:00:00.000Z');
const texts = (count: number, salt: string): string[] =>
  Array.from({ length: count }, (_, at) => `${salt} ${String(at)}`);

test('an image arrives with all that it needs, and of the next one only what is new travels', async t => {
  const { source, destination } = await makeEnds(t);
  const note = (await source.put(Buffer.from('a note'))).digest.toString('hex');
  const files = [...texts(3000, 'file'), '', 'x'.repeat(3 << 20)];
  await build(source, 'os/a/1', files, { annotations: { note } });
  const first = collecting();
  await replicate({ source, destination }, first, false);
  t.deepEqual(await contentOf(destination), await contentOf(source));
  t.deepEqual(await faultsOf(destination), []);
  t.deepEqual(await destination.read(Buffer.from(note, 'hex'), 100), Buffer.from('a note'));

  await build(source, 'os/a/2', files.with(1500, 'another'));
  const second = collecting();
  const asked: string[] = [];
  const seen = observed(source, method => void asked.push(method));
  await replicate({ source: seen, destination }, second, false);
  const [behind, event] = second.events;
  t.deepEqual(behind, { kind: 'behind', images: 1 });
  t.like(event, { kind: 'image', image: 'os/a/2' });
  // The object, the page that names it, and the index.
  t.true(event?.kind === 'image' && event.objects <= 4, JSON.stringify(event));
  t.is(asked.filter(method => method === 'stream').length, 0);
  t.deepEqual(await contentOf(destination), await contentOf(source));
  t.deepEqual(await faultsOf(destination), []);

  const third = collecting();
  t.is((await replicate({ source, destination }, third, false)).changes, 0);
  t.deepEqual(third.events, []);
});

test('many small objects travel in few calls', async t => {
  const { source, destination } = await makeEnds(t);
  await build(source, 'os/a/1', texts(3000, 'file'));
  let calls = 0;
  const seen = observed(source, () => {
    calls++;
  });
  await replicate({ source: seen, destination }, collecting(), false);
  t.deepEqual(await faultsOf(destination), []);
  t.true(calls < 20, String(calls));
});

test('expiry, tags, channels, disk maps and removal arrive', async t => {
  const ends = await makeEnds(t);
  const { source, destination } = ends;
  const one = await build(source, 'os/a/1', ['a'], { expiresAt: new Date('2098-01-01') });
  await build(source, 'os/a/2', ['b']);
  await build(source, 'os/b/1', ['c']);
  await moveChannel(source, STABLE, 'os/a/1', { movedAt });
  await moveChannel(source, { stream: 'os/b', name: 'x' }, 'os/b/1', { movedAt });
  await replicate(ends, collecting(), false);
  t.deepEqual(await contentOf(destination), await contentOf(source));

  await changeImage(source, 'os/a/1', record => withExpiry(record, LATE, false));
  await changeImage(source, 'os/a/1', record => withTags(record, { set: new Map([['k', 'v']]), remove: [] }));
  await moveChannel(source, STABLE, 'os/a/2', { movedAt });
  await moveChannel(source, { stream: 'os/b', name: 'x' }, null, { movedAt });
  await source.keepDiskMap(one.digest, diskMapOf('disk'));
  await source.remove('os/b/1');
  const told = collecting();
  await replicate(ends, told, false);
  t.deepEqual(await contentOf(destination), await contentOf(source));
  t.deepEqual(await destination.channel('os/b', 'x'), await source.channel('os/b', 'x'));
  t.deepEqual(told.events, [
    { kind: 'behind', images: 1 },
    { kind: 'changed', image: 'os/a/1' },
    { kind: 'channel', channel: 'os/a@stable', image: 'os/a/2' },
    { kind: 'channel', channel: 'os/b@x', image: null },
    {
      kind: 'disk-map',
      imageDigest: one.digest,
      diskDigest: diskDigest(diskMapOf('disk')).toString('hex'),
    },
    { kind: 'removed', image: 'os/b/1' },
  ]);
});

test('a name that has come to mean other content means it at the destination', async t => {
  const ends = await makeEnds(t);
  await build(ends.source, 'os/a/1', ['a']);
  await moveChannel(ends.source, STABLE, 'os/a/1', { movedAt });
  await replicate(ends, collecting(), false);
  await ends.source.remove('os/a/1', { force: true });
  await build(ends.source, 'os/a/1', ['b'], { reuseName: true });
  await replicate(ends, collecting(), false);
  t.deepEqual(await contentOf(ends.destination), await contentOf(ends.source));
  t.deepEqual(await faultsOf(ends.destination), []);
});

test('what only the destination has goes, but not because a source has nothing at all', async t => {
  const ends = await makeEnds(t);
  await build(ends.destination, 'os/a/1', ['a']);
  await moveChannel(ends.destination, STABLE, 'os/a/1', { movedAt });
  const told = collecting();
  t.true((await replicate(ends, told, false)).held);
  t.deepEqual(told.events, [{ kind: 'held', images: 1 }]);
  t.is((await ends.destination.list()).length, 1);
  await build(ends.source, 'os/b/1', ['b']);
  await replicate(ends, collecting(), false);
  t.deepEqual(await contentOf(ends.destination), await contentOf(ends.source));
  await ends.source.remove('os/b/1');
  await replicate(ends, collecting(), true);
  t.deepEqual(await ends.destination.list(), []);
});

test('an image with a damaged or missing object is not shown, and keeps no other back', async t => {
  const ends = await makeEnds(t);
  const { source, destination } = ends;
  for (const [name, text] of [
    ['os/a/1', 'good'],
    ['os/a/2', 'damaged'],
    ['os/a/3', 'missing'],
    ['os/a/4', 'fine'],
  ] as const) {
    await build(source, name, [text, 'y'.repeat(2 << 20)]);
  }
  const pathOf = (text: string): string => {
    const hex = sha512(Buffer.from(text)).toString('hex');
    const root = readdirSync(source.location, { recursive: true, encoding: 'utf8' });
    return join(
      source.location,
      root.find(each => each.endsWith(hex))!,
    );
  };
  chmodSync(pathOf('damaged'), 0o600);
  truncateSync(pathOf('damaged'), 3);
  rmSync(pathOf('missing'));
  const told = collecting();
  const tally = await replicate(ends, told, false);
  t.is(tally.refused, 2);
  const refused = told.events.filter(event => event.kind === 'refused');
  t.deepEqual(
    refused.map(({ what, error }) => [what, error.code]),
    [
      ['os/a/2', 'STORE_DAMAGED'],
      ['os/a/3', 'STORE_DAMAGED'],
    ],
  );
  const names = async (): Promise<string[]> => (await destination.list()).map(({ name }) => name);
  t.deepEqual(await names(), ['os/a/1', 'os/a/4']);
  t.deepEqual(await faultsOf(destination), []);
  rmSync(pathOf('damaged'));
  for (const text of ['damaged', 'missing']) await source.put(Buffer.from(text));
  await replicate(ends, collecting(), false);
  t.deepEqual((await names()).sort(), ['os/a/1', 'os/a/2', 'os/a/3', 'os/a/4']);
  t.deepEqual(await faultsOf(destination), []);
});

test('a source that gives other bytes than it was asked for is not believed', async t => {
  const ends = await makeEnds(t);
  await build(ends.source, 'os/a/1', ['right']);
  const lying = new Proxy(ends.source, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (property === 'readMany') {
        return async (digests: readonly Buffer[], limit: number) =>
          (await target.readMany(digests, limit)).map(bytes =>
            bytes.equals(Buffer.from('right')) ? Buffer.from('wrong') : bytes,
          );
      }
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  const told = collecting();
  await replicate({ ...ends, source: lying }, told, false);
  t.like(told.events[1], { kind: 'refused', what: 'os/a/1', error: { code: 'STORE_DAMAGED' } });
  t.deepEqual(await ends.destination.list(), []);
});

test('wherever it is cut off, nothing incomplete is seen, and it goes on where it was', async t => {
  const ends = await makeEnds(t);
  const { source } = ends;
  const one = await build(source, 'os/a/1', ['a', 'b', 'z'.repeat(2 << 20)]);
  await build(source, 'os/a/2', ['a', 'c']);
  await moveChannel(source, STABLE, 'os/a/2', { movedAt });
  await source.keepDiskMap(one.digest, diskMapOf('disk'));
  let failures = 0;
  let sent = 0;
  for (let calls = 0; ; calls++) {
    t.true(calls < 1000);
    let left = calls;
    const cut = (): void => {
      if (left-- <= 0) throw new ImageUnpackerError('TIMEOUT', 'The connection was cut');
    };
    const told = collecting();
    const cutEnds = { source: observed(source, cut), destination: observed(ends.destination, cut) };
    const failed = await replicate(cutEnds, told, false).then(
      () => false,
      (reason: unknown) => (reason as ImageUnpackerError).code === 'TIMEOUT',
    );
    for (const event of told.events) if (event.kind === 'image') sent += event.objects;
    t.deepEqual(await faultsOf(ends.destination), []);
    for (const each of await ends.destination.channels()) t.is(each.moves[0]?.image, 'os/a/2');
    if (!failed) break;
    failures++;
  }
  t.true(failures > 15, String(failures));
  t.true(sent < 12, String(sent));
  t.deepEqual(await contentOf(ends.destination), await contentOf(source));
});
