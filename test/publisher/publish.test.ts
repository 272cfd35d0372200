import { chmodSync, mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { LocalTarget } from '../../src/cloud/local/local-target.js';
import { changedBlocks, diskDigest, DISK_BLOCK_SIZE } from '../../src/image/disk-map.js';
import type { ImageUnpackerError } from '../../src/image/error.js';
import { expire } from '../../src/publisher/expire.js';
import { makeOpenTarget } from '../../src/publisher/open-target.js';
import { plan } from '../../src/publisher/plan.js';
import { planResume } from '../../src/publisher/plan-resume.js';
import type { ResultRow } from '../../src/publisher/row.js';
import { resume } from '../../src/publisher/resume.js';
import { rollback } from '../../src/publisher/rollback.js';
import { runs } from '../../src/publisher/runs.js';
import { localTarget } from '../../src/publisher/target.js';
import { parseTargetSyntax } from '../../src/publisher/target-syntax.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { BLOCKS, contentOf, diskOf, filesOf, Shop, STREAM } from './shop.js';

async function open(t: ExecutionContext) {
  const shop = await Shop.open(temporaryDirectory(t));
  t.teardown(() => shop.store.close());
  const [raw, qcow2] = [localTarget(shop.path('raw')), localTarget(shop.path('qcow2'), 'qcow2')];
  return { shop, raw, qcow2, targets: [raw, qcow2] };
}

async function imagesIn(directory: string) {
  return (await LocalTarget.open(directory, { format: 'raw', write: false })).images();
}

test('an image is unpacked once and published to every target', async t => {
  const { shop, targets } = await open(t);
  const rows = await shop.publish(1, { targets, tags: { Team: 'os' }, expiresIn: 3600 });
  const digest = diskDigest(diskOf(1).map).toString('hex');
  const image = await shop.store.image(`${STREAM}/1`);
  for (const [at, row] of rows.entries()) {
    t.like(row, {
      Target: targets[at]!.name,
      AccountName: 'local',
      Region: targets[at]!.directory,
      Size: 1,
      Strategy: 'local',
      ImageName: `${STREAM}/1`,
      ImageDigest: image.digest,
      DiskDigest: digest,
      DiskSize: BLOCKS * DISK_BLOCK_SIZE,
      BlocksSent: 4,
      BlocksWritten: 3,
      Architecture: 'x86_64',
      BootMode: 'uefi-preferred',
      RootDeviceName: '/dev/xvda',
      AlreadyPublished: false,
    });
    t.is(row.Error, undefined);
    t.is(row.ParentSnapshotId, undefined);
    t.deepEqual(Object.keys(row.Stages), ['unpack', 'capture', 'disk', 'register']);
    const [found] = await imagesIn(targets[at]!.directory);
    t.like(found, { id: row.AmiId, path: row.Path });
    t.deepEqual(found?.tags, {
      Team: 'os',
      Name: STREAM,
      Stream: STREAM,
      ImageName: `${STREAM}/1`,
      ImageDigest: image.digest,
      DiskDigest: digest,
      Run: row.Run,
      ExpiresAt: row.ExpiresAt,
    });
  }
  t.deepEqual(shop.unpacker.calls, [`unpack ${STREAM}/1`, `capture ${STREAM}`, 'close capture']);
  t.deepEqual(shop.unpacker.read, [0, 1, 2, 20], 'each block is read once for both');
});

test('the next revision sends what differs from the one before', async t => {
  const { shop, targets } = await open(t);
  const first = await shop.publish(1, { targets });
  const rows = await shop.publish(2, { targets });
  const changed = changedBlocks(diskOf(2).map, diskOf(1).map).length;
  for (const [at, row] of rows.entries()) {
    t.is(row.Error, undefined);
    t.deepEqual([row.BlocksSent, row.ParentSnapshotId], [changed, first[at]!.SnapshotId]);
    const target = await LocalTarget.open(targets[at]!.directory, { format: 'raw', write: false });
    t.deepEqual(await target.readBack(row.AmiId!), diskOf(2).map);
    t.deepEqual(await target.readBack(first[at]!.AmiId!), diskOf(1).map);
  }
});

test('publishing what is published changes nothing and unpacks nothing', async t => {
  const { shop, targets } = await open(t);
  const first = await shop.publish(1, { targets });
  const before = contentOf(shop.directory);
  shop.unpacker.calls.length = 0;
  const rows = await shop.publish(1, { targets, unpacker: () => Promise.reject(new Error('no need')) });
  t.deepEqual(contentOf(shop.directory), before);
  t.deepEqual(shop.unpacker.calls, []);
  for (const [at, row] of rows.entries()) {
    t.like(row, { AlreadyPublished: true, AmiId: first[at]!.AmiId, Run: first[at]!.Run, BlocksSent: 0 });
    t.is(row.BlocksWritten, undefined);
  }
});

test('a revision with the same content under another name is published already', async t => {
  const { shop, targets } = await open(t);
  await shop.publish(1, { targets });
  const image = await shop.store.image(`${STREAM}/1`);
  await shop.store.create({ ...image, name: `${STREAM}/9` });
  const before = contentOf(shop.directory);
  t.true((await shop.publish(9, { targets })).every(row => row.AlreadyPublished));
  t.deepEqual(contentOf(shop.directory), before);
});

test('a target that fails leaves the others published', async t => {
  const { shop, raw } = await open(t);
  writeFileSync(shop.path('file'), '');
  const bad = [localTarget(shop.path('file')), ...parseTargetSyntax('prod,us-east-1')];
  const rows = await shop.publish(1, { targets: [bad[0]!, raw, bad[1]!] });
  t.deepEqual(
    rows.map(({ ErrorCode }) => ErrorCode),
    ['CONFIGURATION', undefined, 'NO_PERMISSION'],
  );
  t.is((await imagesIn(raw.directory)).length, 1);
  t.like((await runs(shop))[0], { State: 'partly', Failed: [bad[0]!.name, bad[1]!.name] });
});

test('what goes wrong with the unpacker is in every row, and nothing is left', async t => {
  const { shop, targets, raw } = await open(t);
  shop.unpacker.beforeBlock = number => {
    if (number === 2) throw new Error('the agent is gone');
  };
  const rows = await shop.publish(1, { targets });
  for (const row of rows) t.regex(row.Error ?? '', /the agent is gone/);
  t.deepEqual(filesOf(raw.directory), ['registry', 'registry/format', 'registry/lock']);
  t.like((await runs(shop))[0], { State: 'failed' });
  shop.unpacker.beforeBlock = () => undefined;
  const again = await resume(rows[0]!.Run ?? (await runs(shop))[0]!.Run, shop.options);
  t.true(again.every(row => row.Error === undefined && !row.AlreadyPublished));
});

test('a name that is taken by other content is refused', async t => {
  const { shop, raw } = await open(t);
  await shop.publish(1, { targets: [raw] });
  const other = await shop.store.image(`${STREAM}/2`);
  await shop.store.remove(`${STREAM}/1`);
  await shop.store.create({ ...other, name: `${STREAM}/1` }, { reuseName: true });
  const [row] = await shop.publish(1, { targets: [raw] });
  t.is(row?.ErrorCode, 'IMAGE_EXISTS');
  t.is((await imagesIn(raw.directory)).length, 1);
});

test('a disk that is gone is published again, one that was written to is not thrown away', async t => {
  const { shop, raw } = await open(t);
  const [first] = await shop.publish(1, { targets: [raw] });
  rmSync(first!.Path!);
  const [second] = await shop.publish(1, { targets: [raw] });
  t.false(second!.AlreadyPublished);
  t.deepEqual(
    (await imagesIn(raw.directory)).map(({ id }) => id),
    [second!.AmiId],
  );
  chmodSync(second!.Path!, 0o644);
  utimesSync(second!.Path!, 1, 1);
  const [third] = await shop.publish(1, { targets: [raw] });
  t.is(third?.ErrorCode, 'VOLUME_DIFFERENT');
  t.regex(third?.Error ?? '', /has been written to since it was published; delete it to publish it anew/);
});

test('an image that has expired is published again', async t => {
  const { shop, raw } = await open(t);
  await shop.publish(1, { targets: [raw], expiresIn: 60 });
  t.deepEqual(await expire({ targets: [raw] }), []);
  const now = () => new Date(Date.now() + 61_000);
  t.like(await plan({ ...shop.options, image: `${STREAM}/1`, targets: [raw], now }), [{ Action: 'publish' }]);
  const [row] = await shop.publish(1, { targets: [raw], now });
  t.false(row!.AlreadyPublished);
  t.deepEqual(
    (await imagesIn(raw.directory)).map(({ id }) => id),
    [row!.AmiId],
  );
});

test('two publishers at once on one target: the second has a clear error', async t => {
  const { shop, raw } = await open(t);
  const target = await LocalTarget.open(raw.directory, { format: 'raw', write: true });
  const noNeed = () => Promise.reject(new Error('there is nothing to unpack'));
  const [row] = await shop.publish(1, { targets: [raw], unpacker: noNeed });
  t.is(row?.ErrorCode, 'TARGET_BUSY');
  t.regex(row?.Error ?? '', /Another publisher is at work/);
  t.deepEqual(await runs(shop), []);
  await target.close();
  t.is((await shop.publish(1, { targets: [raw] }))[0]?.Error, undefined);
});

test('a publisher that had to wait finds what the other one has published', async t => {
  const { shop, raw } = await open(t);
  let looked = 0;
  const rows = await shop.publish(1, {
    targets: [raw],
    openTarget: async (target, how) => {
      if (how.write && ++looked === 1) await shop.publish(1, { targets: [raw] });
      return makeOpenTarget()(target, how);
    },
  });
  t.true(rows[0]?.AlreadyPublished);
  t.is((await imagesIn(raw.directory)).length, 1);
});

test('a plan says what would be done, and changes nothing', async t => {
  const { shop, raw, qcow2 } = await open(t);
  await shop.publish(1, { targets: [raw] });
  const before = contentOf(shop.directory);
  const asked = { ...shop.options, targets: [raw, qcow2, ...parseTargetSyntax('prod,us-east-1')] };
  t.like(await plan({ ...asked, image: `${STREAM}/1` }), [
    { Action: 'none', AlreadyPublished: true },
    { Action: 'publish', ParentSnapshotId: undefined },
    { Action: 'refused', ErrorCode: 'NO_PERMISSION' },
  ]);
  t.like(await plan({ ...asked, image: `${STREAM}/2` }), [{ Action: 'publish', ParentImage: `${STREAM}/1` }]);
  t.deepEqual(contentOf(shop.directory), before);
});

test('an image that is not there and tags that are none are refused before anything is done', async t => {
  const { shop, targets } = await open(t);
  const codeOf = async (call: Promise<unknown>) => (await t.throwsAsync<ImageUnpackerError>(call)).code;
  t.is(await codeOf(shop.publish(7, { targets })), 'IMAGE_UNKNOWN');
  const own = [{ Run: 'x' }, { ManagedBy: 'x' }, { Unfinished: 'x' }];
  for (const tags of [...own, { '': 'x' }, { 'aws:x': 'x' }, { x: 'a\nb' }, { x: 'x'.repeat(257) }]) {
    t.is(await codeOf(shop.publish(1, { targets, tags })), 'USAGE', JSON.stringify(tags));
  }
  t.deepEqual(await runs(shop), []);
});

test('a run that is stopped can be resumed, and ends with one image in each target', async t => {
  const { shop, targets } = await open(t);
  const controller = new AbortController();
  shop.unpacker.beforeBlock = number => {
    if (number === 2) controller.abort();
  };
  const error = await t.throwsAsync<ImageUnpackerError>(
    shop.publish(1, { targets, signal: controller.signal }),
  );
  t.is(error.code, 'CANCELLED');
  const [run] = await runs(shop);
  t.is(run?.State, 'interrupted');
  t.true(error.message.includes(run!.Run));
  shop.unpacker.beforeBlock = () => undefined;
  const before = contentOf(shop.directory);
  const planned = await planResume(run!.Run, shop.options);
  t.deepEqual(
    planned.map(({ Target, Action }) => [Target, Action]),
    targets.map(({ name }) => [name, 'publish']),
  );
  t.deepEqual(contentOf(shop.directory), before);
  const rows = await resume(run!.Run, shop.options);
  t.true(rows.every(row => row.Error === undefined && row.Run === run!.Run && !row.AlreadyPublished));
  for (const { directory } of targets) t.is((await imagesIn(directory)).length, 1);
  t.is((await runs(shop))[0]?.State, 'done');
  const again = await resume(run!.Run, {
    ...shop.options,
    unpacker: () => Promise.reject(new Error('no need')),
  });
  // But for what it costs now, which is nothing.
  const made = (row: ResultRow) => ({ ...row, Stages: {}, BlocksWritten: undefined });
  t.deepEqual(again.map(made), rows.map(made));
});

test('a run that is rolled back leaves nothing, and what it found stays', async t => {
  const { shop, raw, qcow2 } = await open(t);
  const [kept] = await shop.publish(1, { targets: [raw] });
  const rows = await shop.publish(1, { targets: [raw, qcow2] });
  t.deepEqual(
    rows.map(row => row.AlreadyPublished),
    [true, false],
  );
  const run = rows[1]!.Run!;
  const planned = await rollback(run, { stateDirectory: shop.stateDirectory, dryRun: true });
  t.deepEqual(
    planned.map(row => row.Removed),
    [[], [rows[1]!.AmiId]],
  );
  t.is((await imagesIn(qcow2.directory)).length, 1);
  t.deepEqual(await rollback(run, shop), planned);
  t.deepEqual(
    (await imagesIn(raw.directory)).map(({ id }) => id),
    [kept!.AmiId],
  );
  t.deepEqual(filesOf(qcow2.directory), ['registry', 'registry/format', 'registry/lock']);
  t.is((await runs(shop)).at(-1)?.State, 'rolled-back');
  t.is((await t.throwsAsync<ImageUnpackerError>(resume(run, shop.options))).code, 'USAGE');
  t.is((await t.throwsAsync<ImageUnpackerError>(planResume(run, shop.options))).code, 'USAGE');
  t.deepEqual(
    (await rollback(run, shop)).map(row => row.Removed),
    [[], []],
  );
});

test('runs that began in the same second are listed in the order in which they began', async t => {
  const { shop, raw } = await open(t);
  let milliseconds = Date.parse('2026-11-23T06:00:00Z');
  const now = () => new Date(milliseconds++);
  for (const leaf of [1, 2, 3]) await shop.publish(leaf, { targets: [raw], now });
  t.deepEqual(
    (await runs(shop)).map(({ ImageName }) => ImageName),
    [1, 2, 3].map(leaf => `${STREAM}/${String(leaf)}`),
  );
});

test('a run that does not exist is an error that names the nearest', async t => {
  const { shop, raw } = await open(t);
  await shop.publish(1, { targets: [raw] });
  const { Run: run } = (await runs(shop))[0]!;
  const near = run.slice(0, -1) + (run.endsWith('0') ? '1' : '0');
  t.regex((await t.throwsAsync(resume(near, shop.options))).message, new RegExp(`did you mean ${run}`));
  t.regex((await t.throwsAsync(planResume(near, shop.options))).message, new RegExp(`did you mean ${run}`));
  t.regex((await t.throwsAsync(rollback('../../etc', shop))).message, /is no run/);
});

test('a journal whose last line is torn is read as if it were not there, one that is damaged is refused', async t => {
  const { shop, raw } = await open(t);
  await shop.publish(1, { targets: [raw] });
  const { Run: run } = (await runs(shop))[0]!;
  const path = join(shop.stateDirectory, 'runs', run);
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, text.slice(0, text.lastIndexOf('"record":"end"') + 20));
  t.is((await runs(shop))[0]?.State, 'interrupted');
  t.is((await resume(run, shop.options))[0]?.Error, undefined);
  t.is((await runs(shop))[0]?.State, 'done');
  writeFileSync(`${path.slice(0, -6)}000000`, '{"record":"beg');
  t.is((await runs(shop)).length, 1, 'one that never began is none');
  writeFileSync(path, text.replace('"record":"intent"', '"record":"intend"'));
  t.is((await t.throwsAsync<ImageUnpackerError>(runs(shop))).code, 'STATE_DAMAGED');
});

test('a run that is going on is neither resumed nor rolled back', async t => {
  const { shop, raw } = await open(t);
  let checked = false;
  shop.unpacker.beforeBlock = async () => {
    if (checked) return;
    checked = true;
    const [run] = await runs(shop);
    t.is(run?.State, 'running');
    t.is((await t.throwsAsync<ImageUnpackerError>(resume(run!.Run, shop.options))).code, 'STATE_BUSY');
    t.is((await t.throwsAsync<ImageUnpackerError>(planResume(run!.Run, shop.options))).code, 'STATE_BUSY');
    t.is((await t.throwsAsync<ImageUnpackerError>(rollback(run!.Run, shop))).code, 'STATE_BUSY');
  };
  t.is((await shop.publish(1, { targets: [raw] }))[0]?.Error, undefined);
  t.true(checked);
});

test('events come again and again while nothing moves', async t => {
  const { shop, raw } = await open(t);
  // The block does not come before two events have said that it has not.
  const told = (): number =>
    shop.events.filter(event => event.type === 'progress' && event.stage === 'disk').length;
  shop.unpacker.beforeBlock = async number => {
    const before = told();
    while (number === 1 && told() < before + 2) await sleep(50);
  };
  await shop.publish(1, { targets: [raw] });
  const kinds = shop.events.map(event => ('stage' in event ? `${event.type} ${event.stage}` : event.type));
  t.deepEqual(
    kinds.filter(kind => !kind.startsWith('progress')),
    [
      'run',
      'begin unpack',
      'end unpack',
      'begin capture',
      'end capture',
      'begin disk',
      'end disk',
      'begin register',
      'end register',
      'result',
    ],
  );
  t.like(
    shop.events.findLast(event => event.type === 'progress' && event.stage === 'disk'),
    { target: raw.name, stage: 'disk', total: 4 * DISK_BLOCK_SIZE, unit: 'bytes' },
  );
});

test('state that cannot be kept ends the run before anything is published', async t => {
  const { shop, raw } = await open(t);
  mkdirSync(shop.stateDirectory);
  writeFileSync(join(shop.stateDirectory, 'runs'), '');
  const error = await t.throwsAsync<ImageUnpackerError>(shop.publish(1, { targets: [raw] }));
  t.regex(error.message, /Cannot keep the journal/);
  t.deepEqual(filesOf(raw.directory), ['registry', 'registry/format', 'registry/lock']);
});
