import test from 'ava';
import { deleteImages } from '../../src/publisher/delete-images.js';
import { deleteUnusedImages } from '../../src/publisher/delete-unused-images.js';
import { expire } from '../../src/publisher/expire.js';
import { listRuns } from '../../src/publisher/journal.js';
import { listImages } from '../../src/publisher/list-images.js';
import { listUsedImages } from '../../src/publisher/list-used-images.js';
import { promote } from '../../src/publisher/promote.js';
import { rollback } from '../../src/publisher/rollback.js';
import { setExclusiveTags } from '../../src/publisher/set-exclusive-tags.js';
import { FakeUnpacker } from '../model/fake-unpacker.js';
import { manyFiles } from '../model/many-files.js';
import { storeImage } from '../model/stored-image.js';
import { usersOf } from '../simulator/users.js';
import type { AwsBed } from './aws-bed.js';
import { ACCOUNTS, openBed } from './aws-bed.js';
import { diskOf, STREAM } from './shop.js';

/*
 * What is wrong in the reference system, number by number, and that it is not so here. Some of it belongs to commands
 * that are not there yet; those wait, and say so.
 */

const [FIRST, SECOND] = ACCOUNTS;
const CHANGING = /^(Start|Put|Complete|Register|Create|Delete|Modify|Deregister)/;

function changes({ simulator }: AwsBed): string[] {
  return simulator.calls.map(({ operation }) => operation).filter(operation => CHANGING.test(operation));
}

/** Everything of an account, by its ids. */
function contentOf(it: AwsBed, account: string): string[] {
  const { images, snapshots } = it.place(account);
  return [...images.keys(), ...snapshots.keys()].sort();
}

test.serial(
  '1: many rows of results end in as many rows, also when one of them cannot be worked on',
  async t => {
    const it = await openBed(t);
    const { openTarget, targets } = it;
    const results = [...(await it.publish(1)), ...(await it.publish(2))];
    const lost = { ...results[0]!, Target: 'nowhere/eu-west-1' };
    const rows = await promote({ results: [lost, ...results], targets, openTarget });
    t.deepEqual(
      rows.map(({ Target, ErrorCode }) => [Target, ErrorCode]),
      [['nowhere/eu-west-1', 'USAGE'], ...results.map(({ Target }) => [Target, undefined])],
    );
  },
);

test.serial(
  '2: sharing waits for nobody: who it is shared with is no target, and one that fails is the only one',
  async t => {
    const sharedWith = { accounts: ['777788889999', '222233334444'], organisations: [], units: [] };
    const it = await openBed(t, { sharedWith });
    it.simulator.denies = (account, _region, operation) =>
      operation === 'ModifyImageAttribute' && account === FIRST;
    const rows = await it.shop.publish(1, { targets: it.targets, openTarget: it.openTarget });
    t.deepEqual(
      rows.map(({ ErrorCode }) => ErrorCode),
      ['NO_PERMISSION', undefined],
    );
    const [image] = it.place(SECOND).images.values();
    t.deepEqual([...image!.launchPermissions].sort(), [...sharedWith.accounts].sort());
    const shared = it.simulator.calls.filter(
      ({ operation, account }) => operation === 'ModifyImageAttribute' && account === SECOND,
    );
    t.is(shared.length, 1, 'all accounts in one call');
  },
);

for (const operation of [
  'PutSnapshotBlock',
  'CompleteSnapshot',
  'RegisterImage',
  'PutParameter',
  'DeleteTags',
]) {
  test.serial(`3: what was made before ${operation} failed is known, and rolled back`, async t => {
    const it = await openBed(t, { parameters: '/images' });
    const { openTarget, targets, shop } = it;
    await it.publish(1);
    const before = contentOf(it, FIRST);
    it.simulator.denies = (account, _region, called) => called === operation && account === FIRST;
    const rows = await shop.publish(2, { targets, openTarget });
    t.deepEqual(
      rows.map(({ ErrorCode }) => ErrorCode),
      ['NO_PERMISSION', undefined],
    );
    t.notDeepEqual(contentOf(it, FIRST), before);
    const tags = [...it.place().snapshots.values()].map(snapshot => snapshot.tags.get('Run'));
    t.true(
      tags.every(run => run !== undefined),
      'tags come with what is made',
    );
    it.simulator.denies = () => false;
    const run = (await listRuns(shop.stateDirectory)).at(-1)!.begin.run;
    await rollback(run, { stateDirectory: shop.stateDirectory, openTarget });
    t.deepEqual(contentOf(it, FIRST), before);
    const latest = [...it.place().parameters.values()].map(({ value }) => value);
    t.true(
      latest.every(id => it.place().images.has(id)),
      'nor does a parameter name it',
    );
  });
}

// Defects of volumes and unpackers are tried beside the fleet: 3 in fleet/snapshot.test.ts (stopped at any call, nothing is
// left over), 4 and 12 in fleet/commands.test.ts (a volume that may be used stays; one that is stopping is waited for). Number 11
// is of launching machines, which no command does; that what was made and could not be tagged is no success is tried with images.

test.serial(
  '5: deleting an image takes all of its disks, whatever comes first, and tells the first error',
  async t => {
    const it = await openBed(t);
    const { openTarget } = it;
    const targets = it.targets.slice(0, 1);
    const [row] = await it.publish(1, targets);
    const place = it.place();
    const extra = { ...place.snapshots.get(row!.SnapshotId!)!, id: 'snap-00000000000000abc' };
    place.snapshots.set(extra.id, extra);
    place.images.get(row!.AmiId!)!.more = [undefined, extra.id];
    it.simulator.denies = (_account, _region, operation) => operation === 'DeregisterImage';
    const from = it.simulator.calls.length;
    const [failed] = await deleteImages({ results: [row!], targets, openTarget });
    t.regex(failed?.Error ?? '', /^DeregisterImage failed/);
    const tried = it.simulator.calls.slice(from).map(({ operation }) => operation);
    t.is(tried.filter(operation => operation === 'DeregisterImage').length, 1);
    t.false(tried.includes('DeleteSnapshot'));
    it.simulator.denies = () => false;
    await deleteImages({ results: [row!], targets, openTarget });
    t.deepEqual(contentOf(it, FIRST), []);
  },
);

test.serial('6: a name that another begins with is another name', async t => {
  const it = await openBed(t);
  const { openTarget, targets, shop } = it;
  const image = `${STREAM}2/1`;
  await storeImage(shop.store, image, manyFiles(9));
  const { digest } = await storeImage(shop.store, `${STREAM}/10`, manyFiles(9));
  const unpacker = new FakeUnpacker(new Map([[digest, diskOf(3)]]));
  const [one] = await it.publish(1);
  const ten = await shop.publish(10, { unpacker, targets, openTarget });
  const other = await shop.publish(1, { unpacker, image, targets, openTarget });
  await promote({ results: [...ten, ...other], targets, openTarget });
  await deleteImages({ results: [one!], targets, openTarget });
  const listed = await listImages({ targets: targets.slice(0, 1), openTarget });
  t.deepEqual(
    listed.map(({ AmiName, Tags }) => [AmiName, Tags?.['Preferred']]),
    [
      [`${STREAM}/10`, 'true'],
      [image, 'true'],
    ],
  );
});

test.serial(
  '7: what is not deleted is not said to be; what may be used elsewhere stays; every image is looked at',
  async t => {
    const it = await openBed(t, { sharedWith: { accounts: [SECOND], organisations: [], units: [] } });
    const { openTarget } = it;
    const options = { openTarget, minAge: 0, apply: true };
    const first = it.targets.slice(0, 1);
    const [old] = await it.publish(1);
    const results = await it.publish(2);
    await promote({ results, targets: it.targets, openTarget });
    t.deepEqual((await deleteUnusedImages({ ...options, targets: first })).UnusedImages, []);
    it.simulator.denies = (_account, _region, operation) => operation === 'DeregisterImage';
    const { UnusedImages } = await deleteUnusedImages({ ...options, targets: it.targets.slice(0, 2) });
    const mine = UnusedImages.find(({ AmiId }) => AmiId === old!.AmiId);
    t.like(mine, { Deleted: false, ErrorCode: 'NO_PERMISSION' });
    t.is(mine?.Tags?.['Preferred'], undefined);
    t.true(it.place().images.has(old!.AmiId!));
  },
);

test.serial('8: an image that nothing uses is not among those that are used', async t => {
  const it = await openBed(t);
  const [one] = await it.publish(1);
  const [two] = await it.publish(2);
  await it.publish(3);
  usersOf(it.place()).instances.push({ id: 'i-1', imageId: two!.AmiId!, state: 'running', launchedAt: 0 });
  const targets = it.targets.slice(0, 1);
  const { UsedImages } = await listUsedImages({ targets, openTarget: it.openTarget });
  const ids = UsedImages.map(({ AmiId }) => AmiId);
  t.true(ids.includes(two!.AmiId));
  t.false(ids.includes(one!.AmiId));
});

test.serial(
  '9: the first image of an account takes no other account, and one that cannot be entered is a row',
  async t => {
    const it = await openBed(t);
    const [first, second] = it.targets;
    const closed = { ...first!, access: { ...first!.access, role: 'arn:aws:iam::111122223333:role/none' } };
    const rows = await it.shop.publish(1, { targets: [closed, second!], openTarget: it.openTarget });
    t.deepEqual(
      rows.map(({ ErrorCode, BlocksSent }) => [ErrorCode, BlocksSent]),
      [
        ['NO_PERMISSION', 0],
        [undefined, 4],
      ],
    );
  },
);

test.serial(
  '10: expiring looks at every page, tells what cannot be looked at or read, and leaves what is of others',
  async t => {
    const it = await openBed(t);
    const { openTarget, targets, shop, simulator } = it;
    for (const leaf of [1, 2, 3]) await shop.publish(leaf, { targets, openTarget, expiresIn: 60 });
    const place = it.place();
    const [first, second] = place.images.values();
    second!.tags.set('ExpiresAt', 'soon');
    // One that is not of ours, though it has the tag.
    const foreign = new Map([['ExpiresAt', '2026-01-01T00:00:00Z']]);
    place.images.set('ami-0000000000000f00d', { ...first!, id: 'ami-0000000000000f00d', tags: foreign });
    simulator.world.pageSize = 1;
    simulator.denies = (account, _region, operation) => account === SECOND && operation === 'DescribeImages';
    const now = () => new Date(Date.now() + 10 * 365 * 86_400_000);
    const rows = await expire({ targets, openTarget, now });
    t.deepEqual(
      rows.map(({ AccountId, ErrorCode, Deleted }) => [AccountId, ErrorCode, Deleted]),
      [
        [FIRST, 'CLOUD_FAILED', false],
        [FIRST, 'CONFIGURATION', false],
        [FIRST, undefined, true],
        [SECOND, 'NO_PERMISSION', false],
      ],
    );
    t.true(place.images.has('ami-0000000000000f00d'));
    t.is(it.place(SECOND).images.size, 3);
  },
);

test.serial('11: a row has an image that is whole, or an error', async t => {
  const it = await openBed(t);
  const { openTarget, targets } = it;
  it.simulator.denies = (account, _region, operation) => operation === 'DeleteTags' && account === FIRST;
  const rows = await it.shop.publish(1, { targets, openTarget });
  for (const { AmiId, Error } of rows) t.not(AmiId === undefined, Error === undefined);
  const listed = await listImages({ targets, openTarget });
  t.deepEqual(
    listed.map(({ AccountId }) => AccountId),
    [SECOND],
  );
});

test.serial('12: whose account it is does not take a machine there', async t => {
  const it = await openBed(t);
  const rows = await it.publish(1);
  t.deepEqual(
    rows.map(({ AccountId }) => AccountId),
    [FIRST, SECOND],
  );
  t.false(it.simulator.calls.some(({ operation }) => operation === 'DescribeInstances'));
});

test.serial(
  '13: what is published already costs nothing, and a name that is taken is refused before anything is made',
  async t => {
    const it = await openBed(t);
    const { openTarget, targets } = it;
    const first = await it.publish(1);
    const before = changes(it);
    const again = await it.publish(1);
    t.deepEqual(
      again.map(({ AmiId, AlreadyPublished }) => [AmiId, AlreadyPublished]),
      first.map(({ AmiId }) => [AmiId, true]),
    );
    for (const image of it.place().images.values()) image.tags.set('ImageDigest', '0'.repeat(128));
    const [row] = await it.shop.publish(1, { targets: targets.slice(0, 1), openTarget });
    t.is(row?.ErrorCode, 'IMAGE_EXISTS');
    t.deepEqual(changes(it), before);
  },
);

test.serial('14: there always is one with the tag, and one account that fails keeps no other', async t => {
  const it = await openBed(t);
  const { openTarget, targets } = it;
  const [one, two] = [await it.publish(1), await it.publish(2)];
  await setExclusiveTags('Preferred', 'true', { results: one, targets, openTarget });
  const seen: number[] = [];
  it.simulator.schedule = () => {
    const images = [...it.place(SECOND).images.values()];
    seen.push(images.filter(({ tags }) => tags.get('Preferred') === 'true').length);
    return undefined;
  };
  it.simulator.denies = (account, _region, operation) => account === FIRST && operation === 'CreateTags';
  const rows = await setExclusiveTags('Preferred', 'true', { results: two, targets, openTarget });
  t.deepEqual(
    rows.map(({ ErrorCode }) => ErrorCode),
    ['NO_PERMISSION', undefined],
  );
  t.true(seen.length > 4);
  t.true(
    seen.every(count => count >= 1),
    seen.join(),
  );
  const preferred = [...it.place(SECOND).images.values()].filter(({ tags }) => tags.has('Preferred'));
  t.deepEqual(
    preferred.map(({ id }) => id),
    [two[1]!.AmiId],
  );
});
