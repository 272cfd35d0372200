import { closeSync, openSync, readFileSync, readSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import type { Entry } from '../../src/image/entry.js';
import { sha512 } from '../../src/image/digest.js';
import { readSuperblock } from '../../src/volume/superblock.js';
import { OpenVolume } from '../../src/volume/open-volume.js';
import { entriesOf, treePlan } from '../model/tree.js';
import { run } from './ext4-fixture.js';
import { VolumeFixture } from './volume-fixture.js';

/*
 * Volumes that are disks with partitions, on a machine whose kernel need not be able to parse a partition table.
 */

const DISK_BYTES = 160 << 20;
const ROOT_OFFSET = 66 << 20;
const REVISIONS = 6;
/** There is no kernel in the trees of these tests. */
const disk = { layout: 'disk', boot: { boot: false } } as const;

const metadata = { mode: 0o755, uid: 0, gid: 0, mtime: 5n, flags: 0, xattrs: [] };
const root: Entry = { type: 'directory', path: Buffer.alloc(0), ...metadata };

function file(path: string, text: string): Entry {
  const content = { size: BigInt(text.length), holes: [], digest: sha512(Buffer.from(text)), names: [] };
  return { type: 'file', path: Buffer.from(path), ...metadata, ...content };
}

const one = [root, file('a', 'one')];
const two = [root, file('a', 'two'), file('b', 'three')];

/** Checks that a captured disk is sound, and that its file system holds `text` in `name`. */
function readCaptured(volume: VolumeFixture, out: string, name: string): string {
  run('sfdisk', '--verify', out);
  const part = join(volume.directory, 'root-partition');
  run('dd', `if=${out}`, `of=${part}`, 'bs=1M', `skip=${String(ROOT_OFFSET >> 20)}`, 'conv=sparse');
  run('e2fsck', '-fn', part);
  return run('debugfs', '-R', `cat ${name}`, part);
}

test('a disk becomes one random tree after the other, exactly, and unchanged it is not written', async t => {
  const volume = await VolumeFixture.make(t, DISK_BYTES);
  const seed = Date.now() & 0xffff;
  t.log(`seed ${String(seed)}`);
  for (const plan of fc.sample(treePlan, { numRuns: REVISIONS, seed })) {
    const image = await volume.image(entriesOf(plan));
    t.is((await volume.apply(image, disk)).scan, 'none');
    t.deepEqual(await volume.checkImage(image), { identical: true, differences: [] });
    const before = volume.bytes();
    const { bytesWritten, blocksWritten, scan } = await volume.apply(image);
    t.deepEqual({ bytesWritten, blocksWritten, scan }, { bytesWritten: 0, blocksWritten: 0, scan: 'none' });
    t.is(volume.bytes(), before);
  }
});

test('what was written through the partition is seen, whoever holds the disk open', async t => {
  const volume = await VolumeFixture.make(t, DISK_BYTES);
  await volume.apply(await volume.image(one), disk);
  const held = openSync(volume.device, 'r');
  t.teardown(() => {
    closeSync(held);
  });
  const all = Buffer.alloc(DISK_BYTES);
  readSync(held, all, 0, all.length, 0);
  const image = await volume.image(two);
  await volume.apply(image);
  readSync(held, all, 0, all.length, 0);
  t.deepEqual(await volume.checkImage(image), { identical: true, differences: [] });
  const out = join(volume.directory, 'captured');
  await volume.capture(out);
  t.is(readCaptured(volume, out, 'a'), 'two');
  t.false(readFileSync(out).includes('one'));
});

test('independent disks of a stream have the same partition table', async t => {
  const [mine, theirs] = [await VolumeFixture.make(t, DISK_BYTES), await VolumeFixture.make(t, DISK_BYTES)];
  for (const volume of [mine, theirs]) await volume.apply(await volume.image(one), disk);
  const table = (volume: VolumeFixture): string =>
    volume.run('sfdisk', '--dump', 'DEVICE').replaceAll(volume.device, '');
  t.is(table(mine), table(theirs));
  const uuid = (volume: VolumeFixture): string =>
    volume.run('blkid', '-p', '-o', 'value', '-s', 'UUID', 'DEVICEp3');
  t.is(uuid(mine), uuid(theirs));
});

const tears: [string, number, number][] = [
  ['the first sector', 0, 512],
  ['the primary head', 512, 512],
  ['the primary entries', 1024, 100],
  ['the backup', DISK_BYTES - 33 * 512, 33 * 512],
];

for (const [what, offset, length] of tears) {
  test(`a disk on which ${what} was overwritten is not captured, and repaired by apply`, async t => {
    const volume = await VolumeFixture.make(t, DISK_BYTES);
    const image = await volume.image(one);
    await volume.apply(image, disk);
    const before = volume.bytes();
    const descriptor = openSync(volume.device, 'r+');
    writeSync(descriptor, Buffer.alloc(length, 0xee), 0, length, offset);
    closeSync(descriptor);
    t.false((await volume.checkImage(image)).identical);
    await t.throwsAsync(volume.capture(join(volume.directory, 'out')), { code: 'VOLUME_DOUBTFUL' });
    const { warnings } = await volume.apply(image, { format: false });
    t.is(warnings.length, 1);
    t.is(volume.bytes(), before);
  });
}

test('a foreign disk is refused, and so is another layout', async t => {
  const volume = await VolumeFixture.make(t, DISK_BYTES);
  const image = await volume.image(one);
  run('bash', '-c', `echo 'label: gpt' | sfdisk --quiet --no-reread ${volume.device}; true`);
  const foreign = volume.bytes();
  await t.throwsAsync(volume.apply(image, { ...disk, format: false }), {
    code: 'DEVICE_FOREIGN',
    message: /gpt/,
  });
  await t.throwsAsync(volume.apply(image, { ...disk, format: 'blank' }), { code: 'DEVICE_FOREIGN' });
  t.is(volume.bytes(), foreign);
  await volume.apply(image, disk);
  await t.throwsAsync(volume.apply(image, { layout: 'whole' }), {
    code: 'VOLUME_DIFFERENT',
    message: /disk/,
  });
  run('sfdisk', '--quiet', '--no-reread', '--part-type', volume.device, '3', 'L');
  run('sfdisk', '--quiet', '--no-reread', '--part-label', volume.device, '3', 'mine');
  await t.throwsAsync(volume.apply(image, disk), { code: 'VOLUME_DAMAGED', message: /have been changed/ });
});

test('a disk that has no file system yet is made one without being told again', async t => {
  const volume = await VolumeFixture.make(t, DISK_BYTES);
  const image = await volume.image(one);
  await volume.apply(image, disk);
  run('dd', 'if=/dev/zero', `of=${volume.device}p3`, 'bs=1M', 'count=1', 'conv=fsync');
  await volume.apply(image, { ...disk, format: 'blank' });
  t.deepEqual(await volume.checkImage(image), { identical: true, differences: [] });
});

test('a disk that has grown is used to its end, content kept; one that has shrunk is refused', async t => {
  const volume = await VolumeFixture.make(t, DISK_BYTES);
  const image = await volume.image(two);
  await volume.apply(image, disk);
  const larger = DISK_BYTES + (300 << 20);
  truncateSync(volume.file, larger);
  volume.run('losetup', '--set-capacity', 'DEVICE');
  const { scan, entries, from } = await volume.apply(image);
  t.deepEqual(
    { scan, from, added: entries.added, changed: entries.changed },
    { scan: 'none', from: image, added: 0, changed: 0 },
  );
  t.deepEqual(await volume.checkImage(image), { identical: true, differences: [] });
  run('sfdisk', '--verify', volume.device);
  const open = await OpenVolume.open({ device: volume.device, write: false });
  const superblock = await readSuperblock(open.device.file);
  t.is(superblock!.blocks * 4096n, BigInt(larger - ROOT_OFFSET - (1 << 20)));
  await open.close();
  t.is((await volume.apply(image)).blocksWritten, 0);
  const out = join(volume.directory, 'captured');
  t.is((await volume.capture(out)).size, larger);
  t.is(readCaptured(volume, out, 'b'), 'three');
  truncateSync(volume.file, DISK_BYTES);
  volume.run('losetup', '--set-capacity', 'DEVICE');
  await t.throwsAsync(volume.apply(image), { code: 'DEVICE_TOO_SMALL', message: /has become smaller/ });
});

test('a file system on a whole device that has grown is used to its end', async t => {
  const volume = await VolumeFixture.make(t);
  const image = await volume.image(two);
  await volume.apply(image, { layout: 'whole' });
  truncateSync(volume.file, 300 << 20);
  volume.run('losetup', '--set-capacity', 'DEVICE');
  t.is((await volume.apply(image)).scan, 'none');
  t.deepEqual(await volume.check(two), { identical: true, differences: [] });
  t.is((await volume.apply(await volume.image(one))).scan, 'none');
  t.regex(volume.run('dumpe2fs', '-h', 'DEVICE'), /Block count: +76800\n/);
});

test('where the kernel makes no nodes for partitions a loop device stands for the root', async t => {
  const volume = await VolumeFixture.make(t, DISK_BYTES);
  const first = await volume.image(one);
  await volume.apply(first, { ...disk, nodes: false });
  const second = await volume.image(two);
  t.is((await volume.apply(second, { nodes: false })).scan, 'none');
  t.deepEqual(await volume.checkImage(second), { identical: true, differences: [] });
  truncateSync(volume.file, DISK_BYTES + (100 << 20));
  volume.run('losetup', '--set-capacity', 'DEVICE');
  t.is((await volume.apply(first, { nodes: false })).scan, 'none');
  t.deepEqual(await volume.checkImage(first), { identical: true, differences: [] });
});

test('partitions that the kernel knows otherwise are put right, unless they are in use', async t => {
  const volume = await VolumeFixture.make(t, DISK_BYTES);
  const image = await volume.image(one);
  await volume.apply(image, disk);
  volume.run('delpart', 'DEVICE', '3');
  volume.run('addpart', 'DEVICE', '3', '204800', '8192');
  t.is((await volume.apply(image)).scan, 'none');
  volume.run('delpart', 'DEVICE', '2');
  volume.run('addpart', 'DEVICE', '7', '4096', '40960');
  const held = openSync(`${volume.device}p7`, 'r');
  await t.throwsAsync(volume.apply(image), { code: 'DEVICE_IN_USE' });
  closeSync(held);
  t.is((await volume.apply(image)).scan, 'none');
});

test('by choice each image has UUIDs of its own, and what is known of the volume stays known', async t => {
  const own = { layout: 'disk', boot: { boot: false }, disk: { identity: 'image' } } as const;
  const [mine, theirs] = [await VolumeFixture.make(t, DISK_BYTES), await VolumeFixture.make(t, DISK_BYTES)];
  const names = (volume: VolumeFixture): string[] => [
    volume.run('blkid', '-p', '-o', 'value', '-s', 'UUID', 'DEVICEp3').trim(),
    ...volume
      .run('sfdisk', '--dump', 'DEVICE')
      .match(/[0-9A-F]{8}-[0-9A-F-]{27}(?=\n)|(?<=uuid=)[0-9A-F-]+/g)!,
  ];
  const [first, second] = [await mine.image(one), await mine.image(two)];
  await mine.apply(first, own);
  const before = names(mine);
  t.is((await mine.apply(second)).scan, 'none');
  const after = names(mine);
  t.is(before.length, 5);
  t.is(new Set([...before, ...after]).size, 10);
  t.deepEqual(await mine.checkImage(second), { identical: true, differences: [] });
  t.is((await mine.apply(second)).blocksWritten, 0);
  await mine.apply(first);
  t.deepEqual(names(mine), before);
  await theirs.image(one);
  await theirs.apply(await theirs.image(two), own);
  t.deepEqual(names(theirs), after);
  const out = join(mine.directory, 'captured');
  await mine.capture(out);
  t.is(readCaptured(mine, out, 'a'), 'one');
  await t.throwsAsync(mine.apply(first, { disk: { identity: 'stream' } }), { code: 'VOLUME_DIFFERENT' });
});
