import { writeFileSync } from 'node:fs';
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
  shell(it.shop.tree, `${CHANGE}; truncate --size 1700M usr/lib/hole`);
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

test('agents whose certificates have one name are called at their addresses, and verified by that name', async t => {
  const it = await FleetFixture.make(t, REGIONS, 'unpackers.internal');
  const list = async (...more: string[]): Promise<(string | undefined)[]> => {
    const targets = ['--targets', it.shop.targets, ...it.reaching(...more)];
    const rows = await it.call<{ Unpackers: { Version?: string; Error?: string }[] }[]>(
      'list-unpackers',
      ...targets,
    );
    return rows.flatMap(({ Unpackers }) => Unpackers.map(({ Error }) => Error));
  };
  t.deepEqual(await list('--unpacker-server-name', 'unpackers.internal'), [undefined, undefined]);
  for (const wrong of [[], ['--unpacker-server-name', 'other.internal']]) {
    for (const error of await list(...wrong))
      t.regex(error ?? '', /is for another name.*--unpacker-server-name/);
  }
  const server = ['--unpacker-server-name', 'unpackers.internal'];
  const [row] = await it.publish<ResultRow[]>(1, '--only', '*,us-east-1', ...server);
  t.like(row, { Error: undefined, Region: REGIONS[0] });
});

test('a scrubbed snapshot has nothing of an earlier image, and is all that its digest says', async t => {
  const [region] = REGIONS as [string];
  const it = await FleetFixture.make(t, [region]);
  const secret = 'what nobody is to find';
  const { world } = it.simulator;
  const holds = ({ SnapshotId }: ResultRow): boolean => {
    const snapshot = world.place(ACCOUNT, region).snapshots.get(SnapshotId!)!;
    return [...world.contentOf(snapshot).values()].some(block => world.blocks.get(block)!.includes(secret));
  };
  for (let number = 0; number < 30; number++) {
    writeFileSync(`${it.shop.tree}/usr/lib/secret-${String(number)}`, Buffer.alloc(100_000, secret));
  }
  it.shop.build(2);
  shell(it.shop.tree, 'rm usr/lib/secret-*');
  it.shop.build(3);
  shell(it.shop.tree, 'echo four > etc/motd');
  it.shop.build(4);
  const [first] = await it.publish<ResultRow[]>(2);
  t.true(holds(first!));
  const [second] = await it.publish<ResultRow[]>(3);
  t.true(holds(second!), 'the test has something to find');
  t.is(second!.DiskDigest, undefined);
  const third = await it.publish<ResultRow[]>(4, '--scrub');
  t.false(holds(third[0]!));
  checkDisk(t, it, third[0]!);
  t.is(third[0]!.DiskDigest?.length, 64);
  writeFileSync(it.shop.path('results'), JSON.stringify(third));
  const verified = await it.call(
    'verify',
    '--content',
    '--targets',
    it.shop.targets,
    it.shop.path('results'),
  );
  t.like(verified, [{ Verified: true, ContentRead: true, DiskDigest: third[0]!.DiskDigest }]);
});
