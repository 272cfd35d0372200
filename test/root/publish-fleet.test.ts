import { truncateSync } from 'node:fs';
import test from 'ava';
import type { ResultRow } from '../../src/publisher/row.js';
import { checkDisk } from './check-disk.js';
import { shell } from './ext4-fixture.js';
import { ACCOUNT, FleetFixture } from './fleet-fixture.js';

/*
 * The strategy snapshot as people call it: real content, a real agent for each region, volumes that are attached as
 * devices, and a simulator of AWS that makes snapshots of what is on them.
 */

const REGIONS = ['us-east-1', 'eu-west-1'];
const CHANGE =
  'echo two > etc/motd; rm usr/lib/7; dd if=/dev/urandom of=usr/lib/new bs=300k count=1 status=none';

test('revisions are unpacked in each region by an agent there, and their disks are the image, file by file', async t => {
  const it = await FleetFixture.make(t, REGIONS);
  const { shop, simulator } = it;
  const first = await it.publish<ResultRow[]>(1);
  t.deepEqual(
    first.map(({ Error }) => Error),
    [undefined, undefined],
  );
  for (const row of first) checkDisk(t, it, row);
  shell(shop.tree, CHANGE);
  shop.build(2);
  const second = await it.publish<ResultRow[]>(2);
  for (const row of second) {
    t.like(row, { Error: undefined, Size: 2 });
    t.true(row.BlocksWritten! < 20, `it is a patch: ${String(row.BlocksWritten)}`);
    checkDisk(t, it, row);
  }
  t.is(new Set(second.map(({ ImageDigest }) => ImageDigest)).size, 1);
  for (const region of REGIONS) t.is(it.volumes(region).length, 1, 'the volume is that of the stream');
  // All that is left of an image is what was asked to be kept.
  const place = simulator.world.place(ACCOUNT, REGIONS[0]!);
  t.deepEqual([place.images.size, place.snapshots.size], [2, 2]);
});

test('a volume grows in place, with what is on it, when the content has outgrown it', async t => {
  const [region] = REGIONS as [string];
  const it = await FleetFixture.make(t, [region]);
  await it.publish(1);
  const [volume] = it.volumes(region);
  t.is(volume!.size, 2);
  // A hole is content as well.
  shell(it.shop.tree, CHANGE);
  truncateSync(`${it.shop.tree}/usr/lib/hole`, 1_700 * 2 ** 20);
  it.shop.build(2);
  const [row] = await it.publish<ResultRow[]>(2);
  t.like(row, { Error: undefined, Size: 4 });
  t.deepEqual(it.volumes(region), [volume!]);
  t.true(row!.BlocksWritten! < 40, `it is a patch: ${String(row!.BlocksWritten)}`);
  checkDisk(t, it, row!);
});

for (const operation of ['AttachVolume', 'CreateSnapshot', 'RegisterImage']) {
  test(`a publisher that is killed at ${operation} is resumed to one image`, async t => {
    const it = await FleetFixture.make(t, REGIONS);
    const { shop, simulator } = it;
    await it.publishAndKill(1, each => each === operation);
    const [{ Run }] = await it.call<[{ Run: string }]>('runs', '--state-dir', shop.path('state'));
    const places = ['--store', shop.path('store'), '--state-dir', shop.path('state')];
    const rows = await it.call<ResultRow[]>('resume', Run, ...places, ...it.reaching());
    for (const [at, row] of rows.entries()) {
      t.is(row.Error, undefined);
      checkDisk(t, it, row);
      const place = simulator.world.place(ACCOUNT, REGIONS[at]!);
      t.deepEqual([place.images.size, place.snapshots.size, it.volumes(REGIONS[at]!).length], [1, 1, 1]);
    }
  });
}
