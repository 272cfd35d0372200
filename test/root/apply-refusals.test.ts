import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Entry } from '../../src/image/entry.js';
import { sha512 } from '../../src/image/digest.js';
import { attach, run, temporaryDirectory } from './ext4-fixture.js';
import { VolumeFixture } from './volume-fixture.js';

const metadata = { mode: 0o755, uid: 0, gid: 0, mtime: 5n, flags: 0, xattrs: [] };
const root: Entry = { type: 'directory', path: Buffer.alloc(0), ...metadata };

function file(path: string, more: Partial<Entry> = {}): Entry {
  const content = { size: 3n, holes: [], digest: sha512(Buffer.from('one')), names: [] };
  return { type: 'file', path: Buffer.from(path), ...metadata, ...content, ...more } as Entry;
}

test('a device that is not to be touched is refused, and stays as it is', async t => {
  const volume = await VolumeFixture.make(t);
  const image = await volume.image([root, file('a')]);
  const blank = volume.bytes();
  await t.throwsAsync(volume.apply(image, { format: false }), { code: 'DEVICE_BLANK' });
  t.is(volume.bytes(), blank);
  run('mkfs.ext4', '-q', volume.device);
  const foreign = volume.bytes();
  await t.throwsAsync(volume.apply(image, { format: false }), { code: 'DEVICE_FOREIGN', message: /ext4/ });
  t.is(volume.bytes(), foreign);
  await volume.mounted('ro', () =>
    t.throwsAsync(volume.apply(image), { code: 'DEVICE_IN_USE', message: /mounted at/ }),
  );
});

test('what is no usable block device is refused', async t => {
  const volume = await VolumeFixture.make(t);
  const image = await volume.image([root, file('a')]);
  await t.throwsAsync(volume.apply(image, { device: volume.file }), { code: 'DEVICE_NOT_BLOCK' });
  await t.throwsAsync(volume.apply(image, { device: join(volume.directory, 'none') }), {
    code: 'DEVICE_MISSING',
  });
  const own = execFileSync('findmnt', ['-n', '-o', 'SOURCE', '/']).toString().trim();
  if (own.startsWith('/dev/'))
    await t.throwsAsync(volume.apply(image, { device: own }), { code: 'DEVICE_SYSTEM' });
  run('blockdev', '--setro', volume.device);
  // A loop device stays read-only beyond its file.
  t.teardown(() => run('blockdev', '--setrw', volume.device));
  await t.throwsAsync(volume.apply(image), { code: 'DEVICE_READ_ONLY' });
});

test('a device that is too small is refused, and it is said how much is needed', async t => {
  const volume = await VolumeFixture.make(t, 16 << 20);
  const size = 64n << 20n;
  const zeros = Buffer.alloc(Number(size));
  await volume.store.put(zeros);
  const image = await volume.image([root, file('big', { size, digest: sha512(zeros) })]);
  const blank = volume.bytes();
  const refusal = await t.throwsAsync(volume.apply(image), { code: 'DEVICE_TOO_SMALL' });
  t.is(volume.bytes(), blank);
  const { needed } = (refusal as unknown as { subject: { needed: number } }).subject;
  const other = join(volume.directory, 'larger');
  writeFileSync(other, '');
  truncateSync(other, needed);
  const larger = attach(t, other);
  await volume.apply(image, { device: larger });
  const small = await volume.image([root, file('a')]);
  await volume.apply(small, { device: larger });
});

test('an object that is damaged is named, and nothing is written', async t => {
  const volume = await VolumeFixture.make(t);
  const image = await volume.image([root, file('a')]);
  const blank = volume.bytes();
  const digest = sha512(Buffer.from('one')).toString('hex');
  const object = join(volume.store.location, 'objects/sha512', digest.slice(0, 2), digest);
  chmodSync(object, 0o644);
  writeFileSync(object, 'onf');
  await t.throwsAsync(volume.apply(image), {
    code: 'STORE_DAMAGED',
    message: new RegExp(digest),
  });
  t.is(volume.bytes(), blank);
});

test('two processes do not work with one state directory', async t => {
  const volume = await VolumeFixture.make(t);
  const image = await volume.image([root, file('a')]);
  const directory = temporaryDirectory(t);
  const { StateDirectory } = await import('../../src/volume/state-directory.js');
  const state = await StateDirectory.open(directory);
  await t.throwsAsync(StateDirectory.open(directory), { code: 'STATE_BUSY' });
  await state.close();
  const after = await StateDirectory.open(directory);
  await volume.apply(image, { state: after });
  await after.close();
});

test('a state directory that is full is named, before and after the volume is written', async t => {
  const volume = await VolumeFixture.make(t);
  mkdirSync(volume.stateDirectory);
  run('mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', volume.stateDirectory);
  t.teardown(() => run('umount', volume.stateDirectory));
  const many = Array.from({ length: 500 }, (_, at) => file(`f${String(1000 + at)}`));
  const first = await volume.image([root, ...many]);
  const wanted = [root, ...many, file('g')];
  const second = await volume.image(wanted);
  await volume.apply(first);
  const before = volume.bytes();
  const refused = {
    code: 'NO_SPACE',
    message: new RegExp(`^Cannot write ${volume.stateDirectory}/.*; free some space`),
  };
  const filling = join(volume.stateDirectory, 'filling');
  t.throws(() => {
    writeFileSync(filling, Buffer.alloc(1 << 20));
  });
  await t.throwsAsync(volume.apply(second), refused);
  t.is(volume.bytes(), before);
  // The journal has a place then, but what is known afterwards has none.
  truncateSync(filling, statSync(filling).size - 3 * 4096);
  await t.throwsAsync(volume.apply(second), refused);
  t.not(volume.bytes(), before);
  rmSync(filling);
  t.is((await volume.apply(second)).scan, 'repair');
  t.deepEqual(await volume.check(wanted), { identical: true, differences: [] });
});

const attribute = (path: string, fill: string): Entry => {
  const value = Buffer.alloc(2000, fill);
  return file(path, { xattrs: [{ name: Buffer.from('user.a'), value }] });
};
const numbered = (count: number, make: (path: string, at: number) => Entry): Entry[] =>
  Array.from({ length: count }, (_, at) => make(`f${String(at).padStart(5, '0')}`, at));

test('room is needed for attributes, directories and extents, and what has none is refused before a write', async t => {
  const volume = await VolumeFixture.make(t, 16 << 20);
  const blank = volume.bytes();
  const large = [
    numbered(4000, (path, at) => attribute(path, String(at % 10) + path)),
    numbered(4000, path => ({ type: 'directory', path: Buffer.from(path), ...metadata })),
  ];
  for (const entries of large) {
    const image = await volume.image([root, ...entries]);
    await t.throwsAsync(volume.apply(image), { code: 'DEVICE_TOO_SMALL' });
    t.is(volume.bytes(), blank);
  }
  // Attributes that are the same take one block together.
  const same = [root, ...numbered(1000, path => attribute(path, 'same'))];
  await volume.apply(await volume.image(same));
  t.deepEqual(await volume.check(same), { identical: true, differences: [] });
  const made = volume.bytes();
  await t.throwsAsync(volume.apply(await volume.image([root, ...large[0]!])), { code: 'DEVICE_TOO_SMALL' });
  t.is(volume.bytes(), made);
});
