import test from 'ava';
import { changedBlocks, usedBlocks } from '../../../src/image/disk-map.js';
import type { ResultRow } from '../../../src/publisher/row.js';
import { deleteImages } from '../../../src/publisher/delete-images.js';
import { expire } from '../../../src/publisher/expire.js';
import { listImages } from '../../../src/publisher/list-images.js';
import { makeOpenTarget } from '../../../src/publisher/open-target.js';
import { promote } from '../../../src/publisher/promote.js';
import { verify } from '../../../src/publisher/verify.js';
import { addInstance, fleetOf } from '../../simulator/fleet.js';
import { diskOf, STREAM } from '../shop.js';
import type { Bed } from './bed.js';
import { bed, clock, publish } from './bed.js';

/* What comes after publishing, with images that unpackers have made. */

/** A bed with an unpacker, whose target is scrubbed if that is asked for. */
async function unpacking(t: Parameters<typeof bed>[0], scrub = false): Promise<Bed> {
  const it = await bed(t);
  addInstance(it.world, it.places[0]!, { address: '10.0.0.1' });
  return { ...it, targets: it.targets.map(target => ({ ...target, scrub })) };
}

function of({ targets, openTarget }: Bed, results: readonly ResultRow[]) {
  return { results: [...results], targets, openTarget };
}

test.serial('images are listed, verified, promoted there and back, and deleted', async t => {
  const it = await unpacking(t);
  const [place] = it.places;
  const first = await publish(it, 1);
  const second = await publish(it, 2);
  const listed = await listImages({ targets: it.targets, openTarget: it.openTarget });
  t.deepEqual(
    listed.map(({ Tags }) => Tags?.['ImageName']),
    [`${STREAM}/1`, `${STREAM}/2`],
  );
  t.like((await verify({ ...of(it, second), content: true }))[0], { Verified: true, ContentRead: false });
  const preferred = (row: ResultRow) => place!.images.get(row.AmiId!)!.tags.get('Preferred');
  await promote(of(it, first));
  await promote(of(it, second));
  t.deepEqual([preferred(first[0]!), preferred(second[0]!)], [undefined, 'true']);
  await promote({ ...of(it, second), back: true });
  t.deepEqual([preferred(first[0]!), preferred(second[0]!)], ['true', undefined]);
  t.like((await deleteImages(of(it, second)))[0], { Error: undefined });
  t.deepEqual([place!.images.size, place!.snapshots.size], [1, 1]);
  t.like((await verify(of(it, second)))[0], { Verified: false, Problems: ['the image is gone'] });
  t.is(fleetOf(place!).volumes.size, 1, 'the volume is the stream’s');
});

test.serial('images expire, and their stream goes on with its volume', async t => {
  const it = await unpacking(t);
  const { targets, openTarget, shop } = it;
  const [place] = it.places;
  await shop.publish(1, { targets, openTarget, expiresIn: 1 });
  const later = () => new Date(Date.now() + 3_600_000);
  const rows = await expire({ targets, openTarget, now: later });
  t.is(rows.filter(({ Error }) => Error === undefined).length, 1);
  t.deepEqual([place!.images.size, place!.snapshots.size], [0, 0]);
  t.is((await publish(it, 2))[0]!.Error, undefined);
  t.is(fleetOf(place!).volumes.size, 1);
});

test.serial('a scrubbed disk has a digest, and what it holds is kept', async t => {
  const it = await unpacking(t, true);
  const [place] = it.places;
  const rows = await publish(it, 1);
  t.is(rows[0]!.DiskDigest, place!.images.get(rows[0]!.AmiId!)!.tags.get('DiskDigest'));
  t.is(rows[0]!.DiskDigest?.length, 64);
  const agent = [...it.fakes[0]!.agents.values()][0]!;
  t.is(agent.scrubbed, 1);
  const snapshot = place!.snapshots.get(rows[0]!.SnapshotId!)!;
  t.is(snapshot.tags.get('DiskDigest'), rows[0]!.DiskDigest);
  t.is(diskOf(1).map.digests.length / 32, snapshot.blocks.size);
  const { ImageDigest, DiskDigest } = rows[0]!;
  t.truthy(await it.shop.store.diskMap(ImageDigest, Buffer.from(DiskDigest!, 'hex')));
});

test.serial('an agent that does not know how to scrub is told of, and no snapshot is made', async t => {
  const it = await unpacking(t, true);
  const [place] = it.places;
  const [instance] = fleetOf(place!).instances.values();
  it.fakes[0]!.of(instance!).scrubs = false;
  const [row] = await publish(it, 1);
  t.like(row, { ErrorCode: 'UNSUPPORTED' });
  t.regex(row!.Error!, /does not scrub; update it, or publish without --scrub/);
  t.is(place!.snapshots.size, 0);
});

test.serial(
  'a volume that was changed four times in 24 hours does not grow, and the row says what to do',
  async t => {
    const it = await unpacking(t);
    const [place] = it.places;
    await publish(it, 1);
    const [volume] = fleetOf(place!).volumes.values();
    volume!.size = 0.25;
    const changes = [1, 2, 3, 4].map(hours => clock.now() - hours * 3_600_000).reverse();
    volume!.changes = changes;
    const [row] = await publish(it, 2);
    t.like(row, { ErrorCode: 'QUOTA_EXCEEDED' });
    t.regex(
      row!.Error!,
      new RegExp(`${volume!.id}.* must grow to 2 GiB.*Try again at .*publish again then, or detach`),
    );
    volume!.changes[0]! -= 20 * 3_600_000;
    t.is((await publish(it, 2))[0]!.Error, undefined);
    t.is(volume!.size, 2);
  },
);

test.serial('accounts go from one strategy to the other, and their images stay', async t => {
  const it = await unpacking(t);
  const [place] = it.places;
  await publish(it, 1);
  const targets = it.targets.map(target => ({ ...target, strategy: 'direct' as const }));
  const openTarget = makeOpenTarget(it.shop.store, clock);
  const [row] = await it.shop.publish(2, { targets, openTarget });
  t.like(row, { Error: undefined, ParentSnapshotId: undefined, Strategy: 'direct' });
  t.is((await publish(it, 3))[0]!.Error, undefined);
  t.is(place!.images.size, 3);
});

test.serial(
  'a disk that was scrubbed is the parent of the next one with direct, and nothing but what differs is sent',
  async t => {
    const it = await unpacking(t, true);
    const [place] = it.places;
    const [first] = await publish(it, 1);
    // It gets to be known everywhere.
    await clock.sleep(120_000);
    const targets = it.targets.map(target => ({ ...target, strategy: 'direct' as const, scrub: false }));
    const openTarget = makeOpenTarget(it.shop.store, clock);
    const [row] = await it.shop.publish(2, { targets, openTarget });
    const changed = changedBlocks(diskOf(2).map, diskOf(1).map);
    t.like(row, { Error: undefined, ParentSnapshotId: first!.SnapshotId, BlocksSent: changed.length });
    t.true(changed.length < usedBlocks(diskOf(2).map));
    const { parent, blocks } = place!.snapshots.get(row!.SnapshotId!)!;
    t.is(parent?.id, first!.SnapshotId);
    t.deepEqual(
      [...blocks.keys()].sort((a, b) => a - b),
      changed,
    );
    const verified = await verify({ results: [row!], targets, openTarget, content: true });
    t.like(verified[0], { Problems: [] });
  },
);
