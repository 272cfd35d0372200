import test from 'ava';
import type { ImageUnpackerError } from '../../src/image/error.js';
import { deleteImages } from '../../src/publisher/delete-images.js';
import { deleteTags } from '../../src/publisher/delete-tags.js';
import { expire } from '../../src/publisher/expire.js';
import { listStreams } from '../../src/publisher/list-streams.js';
import { promote } from '../../src/publisher/promote.js';
import { setExclusiveTags } from '../../src/publisher/set-exclusive-tags.js';
import type { AwsBed } from './aws-bed.js';
import { ACCOUNTS, openBed } from './aws-bed.js';
import type { ResultRow } from '../../src/publisher/row.js';
import { STREAM } from './shop.js';

/* The life of images on AWS after they were published. */

const [FIRST, SECOND] = ACCOUNTS;

function parameters(it: AwsBed, account: string = FIRST): Record<string, string> {
  const found = [...it.place(account).parameters].map(([name, { value }]) => [name.split('/').at(-1), value]);
  return Object.fromEntries(found) as Record<string, string>;
}

function withTag(it: AwsBed, key: string, account: string = FIRST): string[] {
  const { images, snapshots } = it.place(account);
  return [...images, ...snapshots].filter(([, { tags }]) => tags.has(key)).map(([id]) => id);
}

test.serial('promoting moves the tag and the parameters, and one command goes back', async t => {
  const it = await openBed(t, { parameters: '/images' });
  const { openTarget, targets } = it;
  const [one, two, three] = [await it.publish(1), await it.publish(2), await it.publish(3)];
  const ids = [one[0]!, two[0]!, three[0]!].map(({ AmiId }) => AmiId!);
  await promote({ results: one, targets, openTarget });
  t.deepEqual(parameters(it), { latest: ids[2], promoted: ids[0] });
  const rows = await promote({ results: two, targets, openTarget });
  t.like(rows[0], { Promoted: true, Demoted: [ids[0]] });
  t.deepEqual(parameters(it), { latest: ids[2], promoted: ids[1], previous: ids[0] });
  t.deepEqual(withTag(it, 'Preferred').sort(), [ids[1], two[0]!.SnapshotId!].sort());
  // There and back again, as often as it is wanted.
  for (const [to, from] of [
    [ids[0], ids[1]],
    [ids[1], ids[0]],
  ]) {
    const results = [one, two].find(([row]) => row!.AmiId === from)!;
    const planned = await promote({ results, targets, openTarget, back: true, dryRun: true });
    t.is(parameters(it)['promoted'], from);
    const back = await promote({ results, targets, openTarget, back: true });
    t.deepEqual(back, planned);
    t.like(back[0], { AmiId: to, Promoted: true, Demoted: [from] });
    t.deepEqual(parameters(it), { latest: ids[2], promoted: to, previous: from });
    t.is(withTag(it, 'Preferred').length, 2);
    t.is(withTag(it, 'PreferredBefore').length, 2);
  }
  const [none] = await promote({ results: three, targets, openTarget, back: true });
  t.is(none?.ErrorCode, 'IMAGE_UNKNOWN');
  t.regex(none?.Error ?? '', /is not preferred/);
});

for (const operation of ['CreateTags', 'PutParameter', 'DeleteTags']) {
  test.serial(`promoting is done again after it was cut off at ${operation}`, async t => {
    const it = await openBed(t, { parameters: '/images' });
    const { openTarget, targets } = it;
    const [one, two] = [await it.publish(1), await it.publish(2)];
    await promote({ results: one, targets, openTarget });
    it.simulator.denies = (_account, _region, called) => called === operation;
    const failed = await promote({ results: two, targets, openTarget });
    t.is(failed[0]?.ErrorCode, 'NO_PERMISSION');
    t.true(withTag(it, 'Preferred').length >= 2, 'there always is one');
    it.simulator.denies = () => false;
    await promote({ results: two, targets, openTarget });
    const [old, current] = [one[0]!.AmiId!, two[0]!.AmiId!];
    t.deepEqual(parameters(it), { latest: current, promoted: current, previous: old });
    t.deepEqual(withTag(it, 'Preferred').sort(), [current, two[0]!.SnapshotId!].sort());
    const [back] = await promote({ results: two, targets, openTarget, back: true });
    t.is(back?.AmiId, old);
  });
}

test.serial('what was preferred before and is gone cannot be gone back to', async t => {
  const it = await openBed(t, { parameters: '/images' });
  const { openTarget, targets } = it;
  const [one, two] = [await it.publish(1), await it.publish(2)];
  await promote({ results: one, targets, openTarget });
  await promote({ results: two, targets, openTarget });
  await deleteImages({ results: one, targets, openTarget });
  const [row] = await promote({ results: two, targets, openTarget, back: true });
  t.is(row?.ErrorCode, 'IMAGE_UNKNOWN');
  t.is(parameters(it)['promoted'], two[0]!.AmiId);
});

test.serial('no parameter names an image that is gone', async t => {
  const it = await openBed(t, { parameters: '/images' });
  const { openTarget, targets } = it;
  const [one, two] = [await it.publish(1), await it.publish(2)];
  await promote({ results: one, targets, openTarget });
  await promote({ results: two, targets, openTarget });
  await deleteImages({ results: two, targets, openTarget });
  t.deepEqual(parameters(it), { latest: one[0]!.AmiId, previous: one[0]!.AmiId });
  await deleteImages({ results: one, targets, openTarget });
  t.deepEqual(parameters(it), {});
});

test.serial('an image whose disk stayed when it was deleted loses it the next time', async t => {
  const it = await openBed(t);
  const { openTarget, targets } = it;
  const results = await it.publish(1, targets.slice(0, 1));
  it.simulator.denies = (_account, _region, called) => called === 'DeleteSnapshot';
  t.is((await deleteImages({ results, targets, openTarget }))[0]?.ErrorCode, 'NO_PERMISSION');
  t.is(it.place().snapshots.size, 1);
  it.simulator.denies = () => false;
  t.like((await deleteImages({ results, targets, openTarget }))[0], { Deleted: false });
  t.is(it.place().snapshots.size, 0);
});

test.serial('a tag is removed from images and disks; those that images are known by are not', async t => {
  const it = await openBed(t);
  const { openTarget, targets } = it;
  const results = await it.shop.publish(1, { targets, openTarget, expiresIn: 60, tags: { Team: 'os' } });
  const expiresAt = results[0]!.ExpiresAt;
  const planned = await deleteTags('ExpiresAt', { results, targets, openTarget, dryRun: true });
  t.is(withTag(it, 'ExpiresAt').length, 2);
  const rows = await deleteTags('ExpiresAt', { results, targets, openTarget });
  t.deepEqual(rows, planned);
  t.like(rows[0], { Key: 'ExpiresAt', Value: expiresAt, Deleted: true, AmiId: results[0]!.AmiId });
  t.deepEqual([...withTag(it, 'ExpiresAt'), ...withTag(it, 'ExpiresAt', SECOND)], []);
  t.is(withTag(it, 'Team').length, 2);
  const again = await deleteTags('ExpiresAt', { results, targets, openTarget });
  t.like(again[0], { Deleted: false });
  t.false('Value' in again[0]!);
  for (const key of ['Stream', 'ManagedBy', 'DiskFacts', 'aws:x', '']) {
    const wrong = deleteTags(key, { results, targets, openTarget });
    t.is((await t.throwsAsync<ImageUnpackerError>(wrong)).code, 'USAGE', key);
  }
  await deleteImages({ results, targets, openTarget });
  t.is((await deleteTags('Team', { results, targets, openTarget }))[0]?.ErrorCode, 'IMAGE_UNKNOWN');
});

test.serial('a tag is of one image of a stream; Preferred is promoting', async t => {
  const it = await openBed(t, { parameters: '/images' });
  const { openTarget, targets } = it;
  const [one, two] = [await it.publish(1), await it.publish(2)];
  const [old, current] = [one[0]!.AmiId!, two[0]!.AmiId!];
  await setExclusiveTags('Canary', 'yes', { results: one, targets, openTarget });
  const planned = await setExclusiveTags('Canary', 'yes', {
    results: two,
    targets,
    openTarget,
    dryRun: true,
  });
  const rows = await setExclusiveTags('Canary', 'yes', { results: two, targets, openTarget });
  t.deepEqual(rows, planned);
  t.like(rows[0], { Key: 'Canary', Value: 'yes', Tagged: true, Untagged: [old] });
  t.deepEqual(withTag(it, 'Canary').sort(), [current, two[0]!.SnapshotId!].sort());
  t.is(it.place().images.get(old)!.tags.get('Name'), STREAM);
  await setExclusiveTags('Preferred', 'true', { results: two, targets, openTarget });
  t.is(parameters(it)['promoted'], current);
  for (const [key, value] of [
    ['Name', 'x'],
    ['Run', 'x'],
    ['Long', 'x'.repeat(256)],
  ]) {
    const wrong = setExclusiveTags(key!, value!, { results: two, targets, openTarget });
    t.is((await t.throwsAsync<ImageUnpackerError>(wrong)).code, 'USAGE');
  }
});

test.serial(
  'expired images are deleted one by one, and disks of none; what fails keeps no other',
  async t => {
    const it = await openBed(t);
    const { openTarget } = it;
    const targets = it.targets.slice(0, 1);
    const rows: ResultRow[] = [];
    for (const leaf of [1, 2, 3]) {
      rows.push(...(await it.shop.publish(leaf, { targets, openTarget, expiresIn: 60 })));
    }
    const place = it.place();
    const [first, second, third] = rows;
    // A disk that lost its image.
    place.images.delete(third!.AmiId!);
    const stuck = place.snapshots.get(first!.SnapshotId!)!;
    place.images.set('ami-1', {
      ...place.images.get(second!.AmiId!)!,
      id: 'ami-1',
      snapshotId: stuck.id,
      tags: new Map(),
    });
    const now = () => new Date(Date.parse(rows[2]!.ExpiresAt!) + 1000);
    const planned = await expire({ targets, openTarget, now, dryRun: true });
    t.deepEqual(
      planned.map(({ AmiId, SnapshotId }) => AmiId ?? SnapshotId),
      [first!.AmiId, second!.AmiId, third!.SnapshotId],
    );
    t.is(place.images.size, 3);
    const expired = await expire({ targets, openTarget, now });
    t.deepEqual(
      expired.map(({ Deleted, ErrorCode }) => [Deleted, ErrorCode]),
      [
        [false, 'CLOUD_FAILED'],
        [true, undefined],
        [true, undefined],
      ],
    );
    t.deepEqual([...place.snapshots.keys()], [stuck.id]);
  },
);

test.serial('streams are listed once, in the order of their numbers', async t => {
  const it = await openBed(t);
  const { openTarget, targets } = it;
  await it.publish(1);
  await it.publish(2);
  const [known] = it.place(SECOND).images.values();
  for (const stream of ['base/os-10', 'base/os-9']) {
    const tags = new Map([...known!.tags, ['Stream', stream]]);
    it.place(SECOND).images.set(stream, { ...known!, id: stream, tags });
  }
  const { streams, errors } = await listStreams({ targets, openTarget });
  t.deepEqual(streams, [STREAM, 'base/os-9', 'base/os-10']);
  t.deepEqual(errors, []);
  it.simulator.denies = (account, _region, operation) => operation === 'DescribeImages' && account === FIRST;
  const partly = await listStreams({ targets, openTarget });
  t.is(partly.streams.length, 3);
  t.is(partly.errors[0]?.ErrorCode, 'NO_PERMISSION');
});
