import { chmodSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { LocalTarget } from '../../src/cloud/local/local-target.js';
import { DISK_BLOCK_SIZE } from '../../src/image/disk-map.js';
import type { ImageUnpackerError } from '../../src/image/error.js';
import { deleteImages } from '../../src/publisher/delete-images.js';
import { expire } from '../../src/publisher/expire.js';
import { parseExpiry } from '../../src/publisher/expiry.js';
import { listImages } from '../../src/publisher/list-images.js';
import { promote } from '../../src/publisher/promote.js';
import { readResults } from '../../src/publisher/row.js';
import { localTarget } from '../../src/publisher/target.js';
import { verify } from '../../src/publisher/verify.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { filesOf, Shop, STREAM } from './shop.js';

async function open(t: ExecutionContext) {
  const shop = await Shop.open(temporaryDirectory(t));
  t.teardown(() => shop.store.close());
  const targets = [localTarget(shop.path('raw')), localTarget(shop.path('qcow2'), 'qcow2')];
  return { shop, targets };
}

test('what is published is listed, and what is wrong with it', async t => {
  const { shop, targets } = await open(t);
  t.deepEqual(await listImages({ targets }), []);
  const rows = [
    ...(await shop.publish(1, { targets })),
    ...(await shop.publish(2, { targets, tags: { Team: 'os' } })),
  ];
  rmSync(rows[0]!.Path!);
  const listed = await listImages({ targets });
  t.deepEqual(
    listed.map(({ AmiId }) => AmiId),
    [rows[0], rows[2], rows[1], rows[3]].map(row => row!.AmiId),
  );
  t.regex(listed[0]?.Fault ?? '', /is gone/);
  t.like(listed[1], { AmiName: `${STREAM}/2`, Path: rows[2]!.Path, Size: 1, Tags: { Team: 'os' } });
  t.is((await listImages({ targets, tags: { Team: 'os' } })).length, 2);
});

test('a target that cannot be looked at has a row with the error', async t => {
  const { shop, targets } = await open(t);
  await shop.publish(1, { targets });
  writeFileSync(shop.path('raw/registry/local-00000000000000000'), 'damaged');
  const rows = await listImages({ targets });
  t.like(rows[0], { Target: targets[0]!.name, ErrorCode: 'STATE_DAMAGED' });
  t.is(rows.length, 2);
});

test('results are verified: there, as they were, and read where that is in doubt', async t => {
  const { shop, targets } = await open(t);
  const results = await shop.publish(1, { targets });
  for (const content of [false, true]) {
    for (const row of await verify({ results, content })) {
      t.like(row, { Verified: true, ContentRead: content, Problems: [], DiskDigest: results[0]!.DiskDigest });
    }
  }
  const [raw, qcow2] = results;
  // A copy has another time, but the content is what counts.
  utimesSync(raw!.Path!, 1, 1);
  t.like((await verify({ results: [raw!] }))[0], { Verified: true, ContentRead: true });
  chmodSync(qcow2!.Path!, 0o644);
  const bytes = readFileSync(qcow2!.Path!);
  bytes[bytes.length - 4 * DISK_BLOCK_SIZE + 100]! ^= 1;
  writeFileSync(qcow2!.Path!, bytes);
  const [, changed] = await verify({ results });
  t.like(changed, { Verified: false, ContentRead: true });
  t.regex(changed?.Problems[0] ?? '', /the disk has the digest .* not /);
  rmSync(raw!.Path!);
  t.regex((await verify({ results }))[0]?.Problems[0] ?? '', /is gone/);
  await deleteImages({ results });
  t.deepEqual((await verify({ results }))[0]?.Problems, ['the image is gone']);
});

test('results that say otherwise than the tags are found', async t => {
  const { shop, targets } = await open(t);
  const [row] = await shop.publish(1, { targets });
  const results = [{ ...row!, ImageDigest: 'other', DiskSize: 5 }];
  const [verified] = await verify({ results });
  t.is(verified?.Problems.length, 2);
  t.regex(
    verified?.Problems.join() ?? '',
    /the image digest is .*, not other,the size of the disk is \d+, not 5/,
  );
});

test('images are deleted with their disks, and only said to be with a dry run', async t => {
  const { shop, targets } = await open(t);
  const kept = await shop.publish(1, { targets });
  const results = await shop.publish(2, { targets });
  const planned = await deleteImages({ results, dryRun: true });
  t.is((await listImages({ targets })).length, 4);
  t.deepEqual(await deleteImages({ results }), planned);
  t.true(planned.every(row => 'Deleted' in row && row.Deleted));
  t.deepEqual(
    (await listImages({ targets })).map(({ AmiId }) => AmiId),
    kept.map(({ AmiId }) => AmiId),
  );
  t.true((await deleteImages({ results })).every(row => 'Deleted' in row && !row.Deleted));
  const { AmiId: id } = kept[0]!;
  const files = [`${id!}.raw`, 'registry', `registry/${id!}`, `registry/${id!}.map`];
  t.deepEqual(filesOf(targets[0]!.directory), [...files, 'registry/format', 'registry/lock'].sort());
});

test('a target of the results that is not known, or is in use, has a row with the error', async t => {
  const { shop, targets } = await open(t);
  const [row] = await shop.publish(1, { targets });
  const other = { ...row!, Target: 'production/us-east-1' };
  const held = await LocalTarget.open(targets[0]!.directory, { format: 'raw', write: true });
  t.teardown(() => held.close());
  const rows = await deleteImages({ results: [row!, other] });
  t.deepEqual(
    rows.map(each => each.ErrorCode),
    ['TARGET_BUSY', 'USAGE'],
  );
  t.like(rows[1], { AccountName: 'production', Region: 'us-east-1' });
});

test('of a stream one image is preferred', async t => {
  const { shop, targets } = await open(t);
  const first = await shop.publish(1, { targets });
  const second = await shop.publish(2, { targets });
  const preferred = async () =>
    (await listImages({ targets, tags: { Preferred: 'true' } })).map(({ AmiId }) => AmiId);
  await promote({ results: first });
  t.deepEqual(
    await preferred(),
    first.map(({ AmiId }) => AmiId),
  );
  const planned = await promote({ results: second, dryRun: true });
  t.deepEqual(
    await preferred(),
    first.map(({ AmiId }) => AmiId),
  );
  t.deepEqual(await promote({ results: second }), planned);
  t.deepEqual(
    await preferred(),
    second.map(({ AmiId }) => AmiId),
  );
  t.like(planned[0], { Promoted: true, Demoted: [first[0]!.AmiId] });
  t.like((await promote({ results: second }))[0], { Promoted: false, Demoted: [] });
  await deleteImages({ results: first });
  t.is((await promote({ results: first }))[0]?.ErrorCode, 'IMAGE_UNKNOWN');
  t.deepEqual(
    await preferred(),
    second.map(({ AmiId }) => AmiId),
  );
});

test('what has expired is deleted, whichever form its time has; what cannot be read stays', async t => {
  const { shop, targets } = await open(t);
  const [row] = await shop.publish(1, { targets, expiresIn: 60 });
  await shop.publish(2, { targets });
  const target = await LocalTarget.open(targets[1]!.directory, { format: 'qcow2', write: true });
  const [old, odd] = await target.images();
  await target.setTags(old!.id, { ExpiresAt: '2026-01-01 00:00:00' }, []);
  await target.setTags(odd!.id, { ExpiresAt: 'tomorrow' }, []);
  await target.close();
  const now = () => new Date(Date.now() + 61_000);
  const planned = await expire({ targets, now, dryRun: true });
  t.deepEqual(
    planned.map(({ Deleted, ErrorCode }) => [Deleted, ErrorCode]),
    [
      [false, undefined],
      [false, undefined],
      [false, 'CONFIGURATION'],
    ],
  );
  t.is((await listImages({ targets })).length, 4);
  const rows = await expire({ targets, now });
  t.deepEqual(
    rows.map(({ AmiId, Deleted }) => [AmiId, Deleted]),
    [
      [row!.AmiId, true],
      [old!.id, true],
      [odd!.id, false],
    ],
  );
  t.is((await listImages({ targets })).length, 2);
});

test('what is preferred stays though it has expired, until it is preferred no more', async t => {
  const { shop, targets } = await open(t);
  const [first] = await shop.publish(1, { targets, expiresIn: 60 });
  const target = await LocalTarget.open(targets[0]!.directory, { format: targets[0]!.format, write: true });
  await target.setTags(first!.AmiId!, { Preferred: 'true' }, []);
  await target.close();
  const asked = { targets: [targets[0]!], now: () => new Date(Date.now() + 61_000) };
  for (const dryRun of [true, false]) {
    t.like(await expire({ ...asked, dryRun }), [
      { AmiId: first!.AmiId, Deleted: false, ErrorCode: 'IMAGE_IN_USE' },
    ]);
  }
  const again = await LocalTarget.open(targets[0]!.directory, { format: targets[0]!.format, write: true });
  await again.setTags(first!.AmiId!, {}, ['Preferred']);
  await again.close();
  t.like(await expire(asked), [{ AmiId: first!.AmiId, Deleted: true }]);
});

test('times of expiry are read in both forms', t => {
  const time = Date.parse('2026-11-23T06:00:00Z');
  for (const text of [
    '2026-11-23T06:00:00Z',
    '2026-11-23T06:00:00.000Z',
    '2026-11-23T08:00:00+02:00',
    '2026-11-23 06:00:00',
  ]) {
    t.is(parseExpiry(text), time, text);
  }
  for (const text of ['', 'never', '2026-11-23', '2026-13-23 06:00:00'])
    t.true(Number.isNaN(parseExpiry(text)), text);
});

test('a file of results that is none is refused', async t => {
  const { shop } = await open(t);
  const file = shop.path('results');
  for (const text of ['', '{}', '[{"AmiId": "x"}]', '{"error":{"code":"X"}}']) {
    writeFileSync(file, text);
    t.is((await t.throwsAsync<ImageUnpackerError>(readResults([file]))).code, 'USAGE');
  }
  writeFileSync(file, '[{"Target":"local:/a","Error":"x"},{"Target":"local:/a","AmiId":"local-1","New":1}]');
  t.is((await readResults([file])).length, 1);
});
