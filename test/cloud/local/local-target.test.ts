import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { LocalTargetOptions } from '../../../src/cloud/local/local-target.js';
import { LocalTarget } from '../../../src/cloud/local/local-target.js';
import { DISK_BLOCK_SIZE } from '../../../src/image/disk-map.js';
import type { ImageUnpackerError } from '../../../src/image/error.js';
import { testCloudTarget } from '../../contract/cloud.js';
import { ModelDisk } from '../../model/disk.js';
import { temporaryDirectory } from '../../temporary-directory.js';

const SIZE = 12 * DISK_BLOCK_SIZE;
const DISK = ModelDisk.of({ 0: 1, 5: 2, 11: 3 }, SIZE);
const TAGS = { Stream: 'base/os', ImageName: 'base/os/1' };

for (const format of ['raw', 'qcow2'] as const) {
  testCloudTarget(test, `local ${format}`, async t => {
    const directory = join(temporaryDirectory(t), 'published');
    let target = await LocalTarget.open(directory, { format, write: true });
    t.teardown(() => target.close());
    const reopen = async () => {
      await target.close();
      return (target = await LocalTarget.open(directory, { format, write: true }));
    };
    return { target, reopen };
  });
}

async function open(t: Parameters<typeof temporaryDirectory>[0], more: Partial<LocalTargetOptions> = {}) {
  const directory = temporaryDirectory(t);
  const target = await LocalTarget.open(directory, { format: 'raw', write: true, ...more });
  t.teardown(() => target.close());
  return { directory, target };
}

async function publish(target: LocalTarget, token = 'a', disk = DISK) {
  const { id } = await target.createDisk({ token, content: disk.content(), parent: undefined, tags: {} });
  return target.register(id, TAGS);
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'no error',
    (error: unknown) => (error as ImageUnpackerError).code,
  );
}

test('a raw disk is the bytes of the disk, read-only and sparse', async t => {
  const { directory, target } = await open(t);
  const { path } = await publish(target);
  const expected = join(directory, 'expected');
  DISK.write(expected);
  t.true(readFileSync(path!).equals(readFileSync(expected)));
  rmSync(expected);
  const { mode, blocks } = statSync(path!);
  t.is(mode & 0o777, 0o444);
  t.true(blocks * 512 < 3 * DISK_BLOCK_SIZE, 'zeros take no room');
  t.deepEqual(
    readdirSync(directory).filter(name => name !== 'registry'),
    [path!.split('/').at(-1)],
  );
});

test('two publishers at once exclude each other', async t => {
  const { directory, target } = await open(t);
  const other = () => LocalTarget.open(directory, { format: 'raw', write: true });
  const error = await t.throwsAsync<ImageUnpackerError>(other);
  t.is(error.code, 'TARGET_BUSY');
  t.regex(error.message, /Another publisher is at work on .*again when it is done/);
  const reader = await LocalTarget.open(directory, { format: 'raw', write: false });
  t.deepEqual(await reader.images(), []);
  await target.close();
  await (await other()).close();
});

test('a directory that is only looked at is not made', async t => {
  const directory = join(temporaryDirectory(t), 'missing');
  const target = await LocalTarget.open(directory, { format: 'raw', write: false });
  t.deepEqual(await target.images(), []);
  t.false(existsSync(directory));
});

test('a directory that holds a registry of something else is refused', async t => {
  for (const [file, text] of [
    ['registry/index.json', '{}'],
    ['registry/format', 'image-unpacker registry 2\n'],
  ] as const) {
    const directory = temporaryDirectory(t);
    mkdirSync(join(directory, 'registry'));
    writeFileSync(join(directory, file), text);
    for (const write of [false, true]) {
      const call = LocalTarget.open(directory, { format: 'raw', write }).then(target => target.images());
      t.is(await codeOf(call), 'CONFIGURATION', file);
    }
    t.deepEqual(readdirSync(directory), ['registry']);
  }
});

test('a registry whose making was cut short is finished, and what a writer left half-written goes', async t => {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, 'registry'));
  for (const name of ['format.new', 'local-00000000000000000.new']) {
    writeFileSync(join(directory, 'registry', name), 'imag');
  }
  const target = await LocalTarget.open(directory, { format: 'raw', write: true });
  t.teardown(() => target.close());
  t.deepEqual(readdirSync(join(directory, 'registry')).sort(), ['format', 'lock']);
  await publish(target);
});

test('a disk that is gone or was written to is told of, and is no parent', async t => {
  const { target } = await open(t);
  const [one, two, three] = [
    await publish(target, 'a'),
    await publish(target, 'b'),
    await publish(target, 'c'),
  ];
  rmSync(three.path!);
  chmodSync(two.path!, 0o644);
  utimesSync(two.path!, 1, 1);
  const faults = (await target.images()).map(({ fault }) => fault?.gone);
  t.deepEqual(faults, [undefined, false, true]);
  t.is((await target.parent('base/os'))?.id, one.id);
  writeFileSync(two.path!, 'short');
  t.regex((await target.images())[1]?.fault?.message ?? '', /has 5 bytes, not 6291456/);
});

test('only a disk of the same format is a parent', async t => {
  const { directory, target } = await open(t);
  await publish(target);
  await target.close();
  const other = await LocalTarget.open(directory, { format: 'qcow2', write: true });
  t.teardown(() => other.close());
  t.is(await other.parent('base/os'), undefined);
  t.is((await other.images()).length, 1);
});

test('a parent whose bytes are not what it says does no harm where blocks are copied', async t => {
  const { target } = await open(t);
  const image = await publish(target);
  const parent = { image, map: await target.map(image.id) };
  const { atime, mtime } = statSync(image.path!);
  chmodSync(image.path!, 0o644);
  const bytes = readFileSync(image.path!);
  bytes[5 * DISK_BLOCK_SIZE + 100]! ^= 1;
  writeFileSync(image.path!, bytes);
  utimesSync(image.path!, atime, mtime);
  const asked: number[] = [];
  const next = ModelDisk.of({ 0: 1, 5: 2, 11: 4 }, SIZE);
  const { id } = await target.createDisk({ token: 'b', content: next.content(asked), parent, tags: {} });
  t.deepEqual(await target.readBack((await target.register(id, {})).id), next.map);
});

test('a disk that is not what it was is found by reading it', async t => {
  for (const format of ['raw', 'qcow2'] as const) {
    const { target } = await open(t, { format });
    const { path, id } = await publish(target);
    chmodSync(path!, 0o644);
    const bytes = readFileSync(path!);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(path!, bytes);
    t.notDeepEqual(await target.readBack(id), DISK.map, format);
    writeFileSync(path!, bytes.subarray(1));
    t.is(await codeOf(target.readBack(id)), 'VOLUME_DAMAGED');
  }
});

test('a description of a disk that was changed is damage', async t => {
  const { target } = await open(t, { format: 'qcow2' });
  const { path, id } = await publish(target);
  chmodSync(path!, 0o644);
  const bytes = readFileSync(path!);
  bytes[65536 * 2]! ^= 1;
  writeFileSync(path!, bytes);
  t.is(await codeOf(target.readBack(id)), 'VOLUME_DAMAGED');
});

test('damage to the registry is an error that names the file', async t => {
  const { directory, target } = await open(t);
  const { id } = await publish(target);
  const path = join(directory, 'registry', id);
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, text.replace('"raw"', '"rar"'));
  const error = await t.throwsAsync<ImageUnpackerError>(target.images());
  t.like(error, { code: 'STATE_DAMAGED', subject: { path } });
  writeFileSync(path, text);
  rmSync(`${path}.map`);
  t.is(await codeOf(target.map(id)), 'STATE_DAMAGED');
  t.is(await codeOf(target.map('../../etc/passwd')), 'IMAGE_UNKNOWN');
});
