import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { needs } from '../needs.js';
import type { Content } from '../volume/boot/image.js';
import { efiProgram, imageOf, kernelOfX86, LEAST } from '../volume/boot/image.js';
import { AgentFixture, readAll, unpack } from './agent-fixture.js';
import { run } from './ext4-fixture.js';
import { VolumeFixture } from './volume-fixture.js';

/*
 * Boot loaders, ESP and boot configuration on a disk: kernels are such in name only here, and what boots is in
 * test/root/boot.test.ts.
 */

const LOADER = '/usr/lib/grub/i386-pc/boot.img';
const grubTest = needs('installing boot loaders', {
  programs: ['grub-mkimage', 'fsck.vfat'],
  fault: existsSync(LOADER) ? undefined : `there is no ${LOADER} (package grub-pc-bin)`,
});

const MIB = 1 << 20;
const DISK_BYTES = 160 * MIB;

/** An image with a loader of its own for UEFI. */
const IMAGE = {
  ...LEAST,
  'etc/fstab': '# nothing\n',
  'usr/lib/grub/x86_64-efi/monolithic/grubx64.efi': efiProgram('x86_64', 'grub of the image'),
};

async function store(volume: VolumeFixture, contents: Readonly<Record<string, Content>>): Promise<string> {
  const { entries, objects } = imageOf(contents);
  for (const bytes of objects.values()) await volume.store.put(bytes);
  return volume.image(entries);
}

async function disk(t: ExecutionContext): Promise<VolumeFixture> {
  return VolumeFixture.make(t, DISK_BYTES);
}

grubTest(
  'an image with a kernel becomes a disk with boot loaders, and what is added to it is told',
  async t => {
    const volume = await disk(t);
    const image = await store(volume, IMAGE);
    const { generated, boot, warnings } = await volume.apply(image);
    t.deepEqual(generated, ['/boot/grub', '/boot/grub/grub.cfg', '/etc/fstab']);
    t.like(boot, { architecture: 'x86_64', bootMode: 'uefi-preferred', kernels: ['6.1.0-9'] });
    t.deepEqual(warnings, []);
    t.deepEqual(await volume.checkImage(image), { identical: true, differences: [] });
    const before = volume.bytes();
    t.like(await volume.apply(image), { bytesWritten: 0, blocksWritten: 0, scan: 'none' });
    t.is(volume.bytes(), before);
    const esp = join(volume.directory, 'esp');
    run('dd', `if=${volume.device}`, `of=${esp}`, 'bs=1M', 'skip=2', 'count=64');
    run('fsck.vfat', '-n', esp);
    t.true(readFileSync(esp).includes('grub of the image'));
  },
);

grubTest('a new revision of the same loaders and kernels writes nothing but itself', async t => {
  const volume = await disk(t);
  await volume.apply(await store(volume, IMAGE));
  const area = (): Buffer =>
    Buffer.concat([readRange(volume, 0, 66 * MIB), readRange(volume, DISK_BYTES - MIB, MIB)]);
  const before = area();
  const next = await store(volume, { ...IMAGE, 'etc/motd': 'new\n' });
  const { entries, blocksWritten } = await volume.apply(next);
  t.like(entries, { added: 1, removed: 0 });
  t.true(before.equals(area()));
  t.true((blocksWritten ?? 0) < 12, String(blocksWritten));
  t.deepEqual(await volume.checkImage(next), { identical: true, differences: [] });
});

grubTest('independent unpackers make the same table, loaders and ESP, whatever was there before', async t => {
  const [mine, theirs] = [await disk(t), await disk(t)];
  run(
    'bash',
    '-c',
    `head -c ${String(70 * MIB)} /dev/urandom | dd of=${theirs.device} conv=fsync status=none`,
  );
  await mine.apply(
    await store(mine, { ...IMAGE, 'boot/vmlinuz-5': kernelOfX86('five'), 'boot/initrd.img-5': 'x' }),
  );
  await mine.apply(await store(mine, IMAGE));
  await theirs.apply(await store(theirs, IMAGE));
  const outs = [mine, theirs].map(volume => join(volume.directory, 'captured'));
  await mine.capture(outs[0]!);
  await theirs.capture(outs[1]!);
  const [a, b] = outs.map(out => readFileSync(out));
  t.true(a!.subarray(0, 66 * MIB).equals(b!.subarray(0, 66 * MIB)));
  t.true(a!.subarray(DISK_BYTES - MIB).equals(b!.subarray(DISK_BYTES - MIB)));
});

const damages: [string, number, string][] = [
  ['the code in the first sector', 100, '(partition table)'],
  ['the BIOS loader', MIB + 5000, '(BIOS boot loader)'],
  ['the ESP', 2 * MIB + 20_000, '(EFI system partition)'],
];

for (const [what, offset, path] of damages) {
  grubTest(
    `a disk on which ${what} was changed is not captured, is told of by check, and repaired by apply`,
    async t => {
      const volume = await disk(t);
      const image = await store(volume, IMAGE);
      await volume.apply(image);
      const before = volume.bytes();
      const descriptor = openSync(volume.device, 'r+');
      writeSync(descriptor, Buffer.from('changed'), 0, 7, offset);
      closeSync(descriptor);
      const { differences } = await volume.checkImage(image);
      t.deepEqual(differences, [{ path, what: 'content' }]);
      await t.throwsAsync(volume.capture(join(volume.directory, 'out')), { code: 'VOLUME_DOUBTFUL' });
      const { scan, blocksWritten } = await volume.apply(image);
      t.deepEqual([scan, blocksWritten], ['none', 1]);
      t.is(volume.bytes(), before);
      await volume.capture(join(volume.directory, 'out'));
    },
  );
}

grubTest('what is configured is remembered, for check and for the next apply', async t => {
  const volume = await disk(t);
  const first = await store(volume, IMAGE);
  const boot = { kernelOptions: 'quiet', console: 'none', bootMode: 'legacy-bios' } as const;
  t.is((await volume.apply(first, { boot })).boot?.bootMode, 'legacy-bios');
  t.deepEqual(await volume.checkImage(first), { identical: true, differences: [] });
  const second = await store(volume, { ...IMAGE, 'etc/motd': 'new\n' });
  t.is((await volume.apply(second)).boot?.bootMode, 'legacy-bios');
  t.true((await volume.checkImage(second)).identical);
  const { differences } = await volume.checkImage(second, { boot: {} });
  t.true(differences.some(({ path }) => path === '/boot/grub/grub.cfg'));
  t.is((await volume.apply(second, { boot: {} })).boot?.bootMode, 'uefi-preferred');
});

const bad: [string, Readonly<Record<string, Content>>, object, string][] = [
  ['no kernel', { 'etc/motd': 'x' }, { layout: 'disk' }, 'IMAGE_UNSUPPORTED'],
  ['no initrd', { 'boot/vmlinuz-1': kernelOfX86() }, {}, 'IMAGE_UNSUPPORTED'],
  ['a /boot that leads elsewhere', { ...IMAGE, 'boot/grub': { link: '/etc' } }, {}, 'IMAGE_UNSUPPORTED'],
  [
    'kernels that do not fit into the ESP',
    {
      ...IMAGE,
      'usr/lib/systemd/boot/efi/systemd-bootx64.efi': efiProgram('x86_64'),
      'boot/initrd.img-6.1.0-9': Buffer.alloc(70 * MIB, 1),
    },
    { boot: { loader: 'systemd-boot' } },
    'NO_SPACE',
  ],
  ['an ESP that cannot be', IMAGE, { disk: { espBytes: 20 * MIB } }, 'USAGE'],
];

for (const [what, contents, more, code] of bad) {
  grubTest(`with ${what} nothing is written`, async t => {
    const volume = await disk(t);
    const image = await store(volume, contents);
    const blank = volume.bytes();
    await t.throwsAsync(volume.apply(image, more), { code } as never);
    t.is(volume.bytes(), blank);
    const good = await store(volume, IMAGE);
    await volume.apply(good);
    const before = volume.bytes();
    if (code === 'USAGE') return;
    await t.throwsAsync(volume.apply(image, more), { code } as never);
    t.is(volume.bytes(), before);
    await volume.capture(join(volume.directory, 'out'));
  });
}

grubTest('an agent keeps disks that boot, and says how they do', async t => {
  const fixture = await AgentFixture.make(t, DISK_BYTES);
  const { client } = await fixture.start();
  const { entries, objects } = imageOf(IMAGE);
  for (const bytes of objects.values()) await fixture.store.put(bytes);
  const digest = await fixture.image('os/a/1', entries);
  const result = await unpack(client, 'os/a/1', digest);
  t.like(result.boot, { architecture: 'x86_64', rootDevice: '/dev/xvda' });
  t.deepEqual(result.generated, ['/boot/grub', '/boot/grub/grub.cfg', '/etc/fstab']);
  const capture = await client.capture('os/a', digest);
  const captured = await readAll(capture);
  await capture.close();
  t.is(captured.toString('latin1', 512, 520), 'EFI PART');
  const device = fixture.device(DISK_BYTES);
  await client.pin('os/b', device);
  const other = await fixture.image('os/b/1', entries);
  await unpack(client, 'os/b/1', other);
  t.deepEqual(
    (await client.status()).streams.map(({ state, image }) => [state, image]),
    [
      ['clean', 'os/a/1'],
      ['clean', 'os/b/1'],
    ],
  );
  t.is((await unpack(client, 'os/b/1', other)).blocksWritten, 0);
  run('partx', '--delete', device);
});

function readRange(volume: VolumeFixture, offset: number, length: number): Buffer {
  return readFileSync(volume.file).subarray(offset, offset + length);
}
