import { copyFileSync, openSync, readSync, writeSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Entry } from '../../src/image/entry.js';
import { ImageUnpackerError } from '../../src/image/error.js';
import { checkVolume } from '../../src/volume/check.js';
import type { BlockUse } from '../../src/volume/ext4/block-use-table.js';
import { refuseDamage } from '../../src/volume/ext4/damage.js';
import { deviceReader } from '../../src/volume/ext4/device-reader.js';
import { surveyVolume } from '../../src/volume/ext4/survey.js';
import { readTree } from '../../src/volume/ext4/tree.js';
import { openVolume } from '../../src/volume/ext4/volume.js';
import { openDevice } from '../../src/volume/device.js';
import {
  attach,
  makeNastyTree,
  makeVolume,
  mountUntilEnd,
  run,
  shell,
  type Fixture,
} from './ext4-fixture.js';
import { kernelView } from './kernel-view.js';

async function readEntries(device: string): Promise<Entry[]> {
  const opened = await openDevice(device, { write: false });
  try {
    const tree = await readTree(await openVolume(deviceReader(opened), refuseDamage));
    return [...tree.entries];
  } finally {
    await opened.file.close();
  }
}

function nastyVolume(t: ExecutionContext): { fixture: Fixture; wanted: Entry[] } {
  const fixture = makeVolume(t);
  fixture.mounted(makeNastyTree);
  const wanted = fixture.mounted(kernelView, 'ro');
  return { fixture, wanted };
}

function withoutLostAndFound(entries: Entry[]): Entry[] {
  return entries.filter(entry => entry.path.toString() !== 'lost+found');
}

test('a nasty tree is read from the device just as the kernel shows it', async t => {
  const { fixture, wanted } = nastyVolume(t);
  t.true(wanted.length > 800);
  t.deepEqual(await readEntries(fixture.device), wanted);
  const result = await checkVolume({ device: fixture.device, wanted: withoutLostAndFound(wanted) });
  t.deepEqual(result, { identical: true, differences: [] });
});

test('attributes larger than a block are read from inodes of their own', async t => {
  const fixture = makeVolume(t, { features: ',ea_inode' });
  fixture.mounted(root => {
    shell(root, 'for name in a b; do : > $name; setfattr -n user.big -v "$(printf %020000d 0)" $name; done');
  });
  const wanted = fixture.mounted(kernelView, 'ro');
  t.deepEqual(await readEntries(fixture.device), wanted);
  t.deepEqual((await checkVolume({ device: fixture.device, wanted })).differences, []);
});

test('a file whose blocks are mapped as ext3 did is read', async t => {
  const fixture = makeVolume(t, { features: ',^64bit' });
  fixture.mounted(root => {
    shell(root, 'head -c 40001 /dev/urandom > file; sync -f file; chattr -e file');
  });
  t.notRegex(run('debugfs', '-R', 'stat file', fixture.device), /EXTENTS/);
  const wanted = fixture.mounted(kernelView, 'ro');
  t.deepEqual(await readEntries(fixture.device), wanted);
});

const CHANGES: { name: string; script: string; found: string[] }[] = [
  { name: 'a missing file', script: 'rm a/one', found: ['/a mtime', '/a/one missing'] },
  { name: 'an extra file', script: ': > a/two', found: ['/a mtime', '/a/two extra'] },
  { name: 'a file in lost+found', script: ': > lost+found/x', found: ['/lost+found/x extra'] },
  { name: 'another type', script: 'rm fifo2 && mknod fifo2 c 1 3', found: ['/fifo links', '/fifo2 links'] },
  {
    name: 'a directory in place of a file',
    script: 'rm holes && mkdir holes',
    found: ['/holes type'],
  },
  { name: 'a mode', script: 'chmod u+x shared-two', found: ['/shared-two mode'] },
  { name: 'a setuid bit', script: 'chmod u-s plain/block', found: ['/plain/block mode'] },
  { name: 'an owner', script: 'chown 70001 partly', found: ['/partly owner'] },
  { name: 'a group', script: 'chgrp -h 1 short', found: ['/short owner'] },
  {
    name: 'a nanosecond',
    script: "touch -d '2040-05-06 07:08:09.987654322 UTC' plain/block",
    found: ['/plain/block mtime'],
  },
  {
    name: 'content of the same size',
    script: 'printf H | dd of=plain/second conv=notrunc status=none',
    found: ['/a/third content'],
  },
  { name: 'a size', script: 'printf ! >> plain/file', found: ['/a/third size', '/a/third content'] },
  {
    name: 'a hole filled with zeros',
    script: 'head -c 4096 /dev/zero | dd of=holes bs=4096 seek=4 conv=notrunc status=none',
    found: ['/holes holes', '/holes content'],
  },
  {
    name: 'a hole made',
    script: 'fallocate -p -o 8192 -l 4096 fragments',
    found: ['/fragments holes', '/fragments content'],
  },
  { name: 'a target', script: 'ln -sfn other middle', found: ['/middle target'] },
  { name: 'a device number', script: 'rm zero && mknod zero c 0 1', found: ['/zero device'] },
  { name: 'a link too many', script: 'ln zzz zzzz', found: ['/a/third links', '/zzzz extra'] },
  { name: 'a link split', script: 'cp -a zzz copy && mv copy zzz', found: ['/a/third links', '/zzz links'] },
  {
    name: 'an attribute changed',
    script: 'setfattr -n user.small -v other zzz',
    found: ['/a/third xattr user.small'],
  },
  {
    name: 'an attribute gone',
    script: 'setfattr -h -x trusted.link short',
    found: ['/short xattr trusted.link'],
  },
  {
    name: 'a capability added',
    script: 'setcap cap_chown+ep fragments',
    found: ['/fragments xattr security.capability'],
  },
  { name: 'an ACL', script: 'setfacl -d -m u:9:r a', found: ['/a xattr system.posix_acl_default'] },
  { name: 'a flag', script: 'chattr +d fragments', found: ['/fragments flags'] },
];

test('every kind of difference is found, at its entry, and nothing else', async t => {
  const { fixture, wanted } = nastyVolume(t);
  const pristine = join(fixture.directory, 'pristine');
  copyFileSync(fixture.image, pristine);
  for (const { name, script, found } of CHANGES) {
    fixture.mounted(root => {
      shell(root, script);
    });
    const { differences } = await checkVolume({ device: fixture.device, wanted, fsck: false });
    const shown = differences.map(({ path, what }) => `${path} ${what}`);
    // The times of what was changed, and of the directories that it stands in, change along.
    const aboutTime = found.some(one => one.endsWith(' mtime'));
    t.deepEqual(
      shown.filter(one => aboutTime || !one.endsWith(' mtime')),
      found,
      name,
    );
    restore(fixture, pristine);
  }
  t.deepEqual((await checkVolume({ device: fixture.device, wanted })).differences, []);
});

/** Puts the volume back by way of its device, so that no cache keeps what was there. */
function restore({ device }: Fixture, pristine: string): void {
  run('dd', `if=${pristine}`, `of=${device}`, 'bs=1M', 'conv=fsync', 'status=none');
}

test('a device that is mounted is refused', async t => {
  const fixture = makeVolume(t);
  mountUntilEnd(t, fixture);
  await t.throwsAsync(checkVolume({ device: fixture.device, wanted: [] }), { code: 'DEVICE_IN_USE' });
});

test('a journal with something to recover leaves the volume in doubt', async t => {
  const fixture = makeVolume(t);
  const copy = join(fixture.directory, 'copy');
  fixture.mounted(root => {
    shell(root, ': > file; sync -f .');
    copyFileSync(fixture.image, copy);
  });
  const error = await t.throwsAsync(checkVolume({ device: attach(t, copy), wanted: [] }), {
    instanceOf: ImageUnpackerError,
  });
  t.is(error.code, 'VOLUME_DOUBTFUL');
  t.regex(error.message, /journal needs recovery/);
});

/** Bytes of a block of each kind that mean something, given the use of the block. */
const MEANINGFUL: Partial<Record<BlockUse['kind'], (use: BlockUse) => number[]>> = {
  superblock: ({ of }) => (of === 0 ? [1024, 1024 + 0x38, 1024 + 0x5c, 1024 + 0x68, 1024 + 0xff, 2047] : []),
  descriptors: ({ of }) => (of === 0 ? [0, 7, 0x12, 0x1e, 0x3f] : []),
  'block-bitmap': () => [0, 1000, 4095],
  'inode-bitmap': () => [0, 5, 100],
  'inode-table': () => [256, 256 + 0x20, 256 + 0x7c, 256 + 0x88, 511],
  directory: () => [0, 4, 9, 2000, 4084, 4095],
  indexed: () => [0, 9, 30, 4092],
  'indexed-root': () => [1, 13, 28, 36, 4093],
  'extent-node': () => [0, 2, 12, 20, 3000, 4093],
  xattrs: () => [0, 4, 17, 40, 2000, 4095],
  data: () => [0, 2047, 4095],
  tail: ({ of }) => [0, of - 1],
};

test('a flipped byte is found wherever it is', async t => {
  const { fixture, wanted } = nastyVolume(t);
  const opened = await openDevice(fixture.device, { write: false });
  const { uses } = await surveyVolume(await openVolume(deviceReader(opened), refuseDamage));
  await opened.file.close();
  const kinds = new Set<string>();
  for (const [kind, offsets] of Object.entries(MEANINGFUL)) {
    const some = [...uses].filter(use => use.kind === kind);
    for (const use of [some[0]!, some.at(-1)!]) {
      for (const offset of offsets(use)) {
        kinds.add(kind);
        const position = use.start * 4096 + offset;
        flip(fixture.device, position);
        t.true(
          await isFound(fixture.device, wanted),
          `${kind} at byte ${String(offset)} of block ${String(use.start)}`,
        );
        flip(fixture.device, position);
      }
    }
  }
  t.is(kinds.size, Object.keys(MEANINGFUL).length);
  t.deepEqual((await checkVolume({ device: fixture.device, wanted })).differences, []);
});

async function isFound(device: string, wanted: Entry[]): Promise<boolean> {
  try {
    return !(await checkVolume({ device, wanted, fsck: false })).identical;
  } catch (error) {
    const codes = ['DEVICE_FOREIGN', 'VOLUME_DAMAGED', 'VOLUME_DOUBTFUL', 'UNSUPPORTED'];
    return error instanceof ImageUnpackerError && codes.includes(error.code);
  }
}

function flip(device: string, position: number): void {
  const descriptor = openSync(device, 'r+');
  try {
    const byte = Buffer.alloc(1);
    readSync(descriptor, byte, 0, 1, position);
    writeSync(descriptor, Buffer.of(byte[0]! ^ 0x10), 0, 1, position);
  } finally {
    closeSync(descriptor);
  }
}

test('damage is shown with the path that it is about, and what e2fsck says as well', async t => {
  const { fixture, wanted } = nastyVolume(t);
  run('debugfs', '-w', '-R', 'set_inode_field plain/large mode 0100600', fixture.device);
  run('debugfs', '-w', '-R', 'clri fifo', fixture.device);
  const { identical, differences } = await checkVolume({ device: fixture.device, wanted });
  t.false(identical);
  t.truthy(differences.find(({ path, what }) => path === '/plain/large' && what === 'mode'));
  t.truthy(differences.find(({ path, what }) => path === '/fifo' && what === 'missing'));
  t.truthy(differences.find(({ path, what }) => path === '(file system)' && what === 'e2fsck'));
});

test('a check can be stopped', async t => {
  const fixture = makeVolume(t);
  const controller = new AbortController();
  controller.abort();
  const stopped = checkVolume({ device: fixture.device, wanted: [], signal: controller.signal });
  await t.throwsAsync(stopped, { code: 'CANCELLED' });
});
