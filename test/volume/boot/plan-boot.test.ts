import type { ExecutionContext } from 'ava';
import test from 'ava';
import type { BootPlan, BootRequest } from '../../../src/volume/boot/plan-boot.js';
import { planBoot } from '../../../src/volume/boot/plan-boot.js';
import { ofImage } from '../../../src/volume/boot/loader-source.js';
import type { Content } from './image.js';
import {
  efiProgram,
  imageOf,
  kernelOfArm,
  kernelOfX86,
  LEAST,
  machineWith,
  program,
  requestFor,
} from './image.js';

const ROOT = 'PARTUUID=aaaaaaaa-0000-8000-8000-00000000root';

async function plan(
  contents: Readonly<Record<string, Content>>,
  more: Partial<BootRequest> = {},
): Promise<
  BootPlan & { text: (path: string) => string | undefined; esp_: (path: string) => string | undefined }
> {
  const planned = await planBoot(requestFor(imageOf(contents).files, more));
  const { generated, esp } = planned;
  const text = (path: string): string | undefined => {
    const entry = generated.entries.find(each => `/${each.path.toString()}` === path);
    return entry?.type === 'file'
      ? generated.contents.get(entry.digest!.toString('hex'))!.toString()
      : undefined;
  };
  return { ...planned, text, esp_: path => esp?.find(file => file.path === path)?.bytes.toString('latin1') };
}

async function refused(
  t: ExecutionContext,
  contents: Readonly<Record<string, Content>>,
  message: RegExp,
  more: Partial<BootRequest> = {},
): Promise<void> {
  await t.throwsAsync(plan(contents, more), { code: 'IMAGE_UNSUPPORTED', message });
}

test('the least image gets a menu, an fstab and a loader, all of them found by the disk itself', async t => {
  const planned = await plan(LEAST);
  t.deepEqual(planned.generated.paths, ['/boot/grub', '/boot/grub/grub.cfg', '/etc', '/etc/fstab']);
  t.regex(
    planned.text('/boot/grub/grub.cfg')!,
    new RegExp(
      `linux /boot/vmlinuz-6.1.0-9 root=${ROOT} ro console=tty0 console=ttyS0,115200n8\n  initrd /boot/initrd.img-6.1.0-9\n`,
    ),
  );
  t.regex(planned.text('/boot/grub/grub.cfg')!, /set timeout=0\n[^]*serial --unit=0 --speed=115200/);
  t.is(planned.text('/etc/fstab')!.split('\n')[1], `${ROOT} / ext4 defaults 0 1`);
  t.regex(planned.esp_('EFI/BOOT/BOOTX64.EFI')!, /grub of the machine/);
  t.regex(planned.esp_('EFI/BOOT/grub.cfg')!, /gpt3[^]*configfile \(\$root\)\/boot\/grub\/grub\.cfg/);
  t.deepEqual(planned.facts, {
    architecture: 'x86_64',
    bootMode: 'uefi',
    rootDevice: '/dev/xvda',
    kernels: ['6.1.0-9'],
  });
  t.deepEqual(planned.warnings, []);
  t.is(planned.bios, undefined);
});

test('all kernels are in the menu, the latest first', async t => {
  const { text, facts } = await plan({
    ...LEAST,
    'boot/vmlinuz-6.1.0-10': kernelOfX86('ten'),
    'boot/initrd.img-6.1.0-10': 'initrd ten',
    'boot/vmlinuz-6.1.0-8': kernelOfX86('eight, which has no initrd'),
    'boot/vmlinuz': { link: 'vmlinuz-6.1.0-9' },
    'etc/os-release': 'PRETTY_NAME="Some \'OS\' 1"\nID=some\n',
  });
  t.deepEqual(facts.kernels, ['6.1.0-10', '6.1.0-9']);
  const titles = [...text('/boot/grub/grub.cfg')!.matchAll(/menuentry '(.*)' \{/g)].map(match => match[1]);
  t.deepEqual(titles, ['Some OS 1, with Linux 6.1.0-10', 'Some OS 1, with Linux 6.1.0-9']);
});

test('what is configured is what the menu says', async t => {
  const { text } = await plan(
    { ...LEAST, 'etc/kernel/cmdline': 'root=UUID=other quiet $kernelopts rw net.ifnames=0\n' },
    { options: { bootMode: 'uefi', timeout: 7, console: 'ttyS1,9600' } },
  );
  const menu = text('/boot/grub/grub.cfg')!;
  t.regex(menu, new RegExp(`root=${ROOT} ro console=tty0 console=ttyS1,9600 quiet net\\.ifnames=0\n`));
  t.regex(menu, /set timeout=7\n[^]*serial --unit=1 --speed=9600/);
  const own = await plan(LEAST, {
    options: { bootMode: 'uefi', kernelOptions: 'console=hvc0 debug', console: 'none' },
  });
  t.regex(own.text('/boot/grub/grub.cfg')!, new RegExp(`root=${ROOT} ro console=hvc0 debug\n`));
  t.notRegex(own.text('/boot/grub/grub.cfg')!, /serial/);
  for (const kernelOptions of ['a;b', 'a\nb', "it's"])
    await t.throwsAsync(plan(LEAST, { options: { kernelOptions } }), { code: 'USAGE' }, kernelOptions);
  await t.throwsAsync(plan(LEAST, { options: { console: 'a b' } }), { code: 'USAGE' });
});

test('what the image says of its disk stays, and it is told when that cannot be right', async t => {
  const fstab =
    'UUID=0a0a0a0a-1111-2222-3333-444444444444 / ext4 defaults 0 1\n/dev/xvdb /data xfs nofail 0 0\n';
  const menu =
    'set timeout=3\nsearch --no-floppy --fs-uuid --set=root 0a0a0a0a-1111-2222-3333-444444444444\nlinux /vmlinuz\n';
  const image = { ...LEAST, 'etc/fstab': fstab, 'boot/grub/grub.cfg': menu };
  const kept = await plan(image);
  t.deepEqual(kept.generated.paths, ['/boot/grub/image-unpacker.cfg']);
  t.regex(kept.esp_('EFI/BOOT/grub.cfg')!, /image-unpacker\.cfg/);
  t.is(kept.warnings.length, 2);
  t.regex(kept.warnings[0]!, /\/etc\/fstab.*0a0a0a0a/);
  const replaced = await plan(image, { options: { bootMode: 'uefi', files: 'replace' } });
  t.deepEqual(replaced.generated.paths, ['/boot/grub/grub.cfg', '/etc/fstab']);
  t.deepEqual(replaced.warnings, []);
  const fit = await plan({
    ...LEAST,
    'etc/fstab': '/dev/nvme0n1p3 / ext4 defaults 0 1\n',
    'boot/grub/grub.cfg': 'linux /vmlinuz root=/dev/nvme0n1p3\n',
  });
  t.deepEqual(fit.generated.paths, []);
  t.deepEqual(fit.warnings, []);
  t.is(fit.facts.rootDevice, '/dev/nvme0n1');
  const comments = await plan({
    ...LEAST,
    'etc/fstab': '# UNCONFIGURED FSTAB FOR BASE SYSTEM\n',
    'boot/efi/': '',
  });
  t.regex(comments.text('/etc/fstab')!, /\/boot\/efi vfat/);
});

test('a root that is mounted by nobody else is mounted for writing by the kernel', async t => {
  const { text } = await plan({ ...LEAST, 'etc/fstab': 'tmpfs /tmp tmpfs defaults 0 0\n' });
  t.regex(text('/boot/grub/grub.cfg')!, / rw console=/);
});

test('nothing is written below a symbolic link', async t => {
  const elsewhere = {
    'usr/boot/vmlinuz-1': kernelOfX86(),
    'usr/boot/initrd.img-1': 'initrd',
    'usr/bin/env': program('x86_64'),
  };
  await refused(
    t,
    { ...elsewhere, boot: { link: 'usr/boot' } },
    /^\/boot of the image is a symbolic link to \/usr\/boot/,
  );
  await refused(t, { ...elsewhere, boot: { link: '../../../../etc' } }, /has no kernel/);
  await refused(t, { ...LEAST, etc: { link: '/usr/etc' } }, /^\/etc of the image is a symbolic link/);
  await refused(
    t,
    { ...LEAST, 'boot/grub': { link: '/etc' } },
    /^\/boot\/grub of the image is a symbolic link/,
  );
  const replaced = await plan({ ...LEAST, 'etc/fstab': { link: '/etc/passwd' } });
  t.deepEqual(replaced.generated.entries.find(({ path }) => path.toString() === 'etc/fstab')?.type, 'file');
});

test('a kernel that a link leads to is named where it is', async t => {
  const { text } = await plan({
    'usr/lib/kernels/linux': kernelOfX86(),
    'usr/lib/kernels/initrd': 'initrd',
    'boot/vmlinuz-5': { link: '/usr/lib/kernels/linux' },
    'boot/initrd.img-5': { link: '../../../usr/lib/./kernels/initrd' },
  });
  t.regex(
    text('/boot/grub/grub.cfg')!,
    /linux \/usr\/lib\/kernels\/linux .*\n {2}initrd \/usr\/lib\/kernels\/initrd\n/,
  );
});

test('an image that cannot boot is refused, and it is said why', async t => {
  await refused(t, { 'etc/hosts': '' }, /no kernel.*--no-boot/);
  await refused(t, { 'boot/vmlinuz-1': '', 'boot/initrd.img-1': 'x' }, /no kernel/);
  await refused(
    t,
    { ...LEAST, 'boot/vmlinuz-7': kernelOfX86('seven') },
    /no initrd for its latest kernel \/boot\/vmlinuz-7/,
  );
  await refused(
    t,
    { ...LEAST, 'boot/vmlinuz-7': kernelOfArm(), 'boot/initrd.img-7': 'x' },
    /kernels for arm64 and x86_64/,
  );
  await refused(
    t,
    { ...LEAST, 'usr/bin/env': program('arm64') },
    /mixes architectures: its kernel is for x86_64 and \/usr\/bin\/env for arm64/,
  );
  await refused(
    t,
    { 'boot/vmlinuz-1': 'MZ nonsense', 'boot/initrd.img-1': 'x' },
    /no kernel for x86_64 or arm64/,
  );
  await t.throwsAsync(plan(LEAST, { sources: [machineWith({})] }), {
    code: 'TOOL_MISSING',
    message: /no GRUB for UEFI on x86_64/,
  });
});

test('what is asked for is what counts', async t => {
  const mixed = { ...LEAST, 'boot/vmlinuz-7': kernelOfArm(), 'boot/initrd.img-7': 'x' };
  t.deepEqual((await plan(mixed, { options: { bootMode: 'uefi', architecture: 'x86_64' } })).facts.kernels, [
    '6.1.0-9',
  ]);
  const bare = { 'boot/vmlinuz-7': kernelOfX86(), 'usr/bin/env': program('x86_64') };
  const { text, facts } = await plan(bare, {
    options: { bootMode: 'uefi', initrd: false, rootDevice: '/dev/sda' },
  });
  t.notRegex(text('/boot/grub/grub.cfg')!, /initrd/);
  t.is(facts.rootDevice, '/dev/sda');
});

test('an arm64 image boots by UEFI, with the loader from its own packages', async t => {
  const image = imageOf({
    'boot/vmlinuz-6.1.0-9-arm64': kernelOfArm(),
    'boot/initrd.img-6.1.0-9-arm64': 'initrd',
    'usr/bin/env': program('arm64'),
    'usr/lib/grub/arm64-efi/monolithic/grubaa64.efi': efiProgram('arm64', 'grub of the image'),
  });
  const request = requestFor(image.files, { options: {} });
  const { facts, esp } = await planBoot({ ...request, sources: [ofImage(image.files), ...request.sources] });
  t.is(facts.bootMode, 'uefi');
  t.is(facts.architecture, 'arm64');
  const loader = esp?.find(({ path }) => path === 'EFI/BOOT/BOOTAA64.EFI');
  t.true(loader?.bytes.includes('grub of the image'));
  await t.throwsAsync(planBoot({ ...request, options: { bootMode: 'legacy-bios' } }), { code: 'USAGE' });
});

test('signed loaders are taken with the shim that they are signed for', async t => {
  const image = imageOf({
    ...LEAST,
    'etc/os-release': 'ID=debian\n',
    'usr/lib/shim/shimx64.efi.signed': efiProgram('x86_64', 'shim'),
    'usr/lib/shim/mmx64.efi.signed': efiProgram('x86_64', 'manager'),
    'usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed': efiProgram('x86_64', 'signed grub'),
    'usr/lib/grub/x86_64-efi/monolithic/grubx64.efi': efiProgram('x86_64', 'plain grub'),
  });
  const { esp } = await planBoot(requestFor(image.files, { sources: [ofImage(image.files)] }));
  const names = esp!.map(({ path }) => path).sort();
  t.deepEqual(names, [
    'EFI/BOOT/BOOTX64.EFI',
    'EFI/BOOT/grub.cfg',
    'EFI/BOOT/grubx64.efi',
    'EFI/BOOT/mmx64.efi',
    'EFI/debian/grub.cfg',
  ]);
  t.true(esp!.find(({ path }) => path.endsWith('BOOTX64.EFI'))!.bytes.includes('shim'));
});

test('systemd-boot has kernels and initrds in the ESP', async t => {
  const image = imageOf({
    ...LEAST,
    'usr/lib/systemd/boot/efi/systemd-bootx64.efi': efiProgram('x86_64', 'systemd-boot'),
  });
  const { esp, generated } = await planBoot(
    requestFor(image.files, { sources: [ofImage(image.files)], options: { bootMode: 'uefi', timeout: 2 } }),
  );
  const read = (pattern: RegExp): string =>
    esp!.find(({ path }) => pattern.test(path))!.bytes.toString('latin1');
  t.regex(read(/BOOTX64/), /systemd-boot/);
  t.is(read(/loader\.conf/), 'timeout 2\ndefault kernel-000.conf\n');
  const [, linux] = /^linux \/(.*)$/m.exec(read(/entries/)) ?? [];
  t.regex(esp!.find(({ path }) => path === linux)!.bytes.toString('latin1'), /nine/);
  t.regex(read(/entries/), new RegExp(`options root=${ROOT}`));
  t.deepEqual(generated.paths, ['/etc', '/etc/fstab']);
});

const RPM = {
  'boot/vmlinuz-6.8.5-301.fc40.x86_64': kernelOfX86('five'),
  'boot/initramfs-6.8.5-301.fc40.x86_64.img': 'initramfs five',
  'boot/vmlinuz-6.8.11-300.fc40.x86_64': kernelOfX86('eleven'),
  'boot/initramfs-6.8.11-300.fc40.x86_64.img': 'initramfs eleven',
  'boot/vmlinuz-0-rescue-8f3d0e0c': kernelOfX86('five'),
  'boot/initramfs-0-rescue-8f3d0e0c.img': 'initramfs rescue',
  'boot/.vmlinuz-6.8.11-300.fc40.x86_64.hmac': 'hmac',
  'boot/loader/entries/8f3d0e0c-6.8.11-300.fc40.x86_64.conf':
    'title Fedora Linux (6.8.11-300.fc40.x86_64) 40\nversion 6.8.11-300.fc40.x86_64\nlinux /vmlinuz-6.8.11-300.fc40.x86_64\ninitrd /initramfs-6.8.11-300.fc40.x86_64.img $tuned_initrd\noptions root=UUID=0a0a0a0a-1111-2222-3333-444444444444 ro $kernelopts audit=1\n',
  'boot/grub2/grub.cfg': 'set timeout=1\nblscfg\n',
  'boot/grub2/grubenv': '# GRUB Environment Block\n',
  'boot/efi/EFI/BOOT/BOOTX64.EFI': efiProgram('x86_64', 'shim of the image'),
  'boot/efi/EFI/fedora/shimx64.efi': efiProgram('x86_64', 'shim'),
  'boot/efi/EFI/fedora/grubx64.efi': efiProgram('x86_64', 'grub with blscfg'),
  'boot/efi/EFI/fedora/grub.cfg':
    'search --fs-uuid --set=dev 0a0a0a0a-1111-2222-3333-444444444444\nconfigfile $prefix/grub.cfg\n',
  'etc/os-release': 'ID=fedora\nPRETTY_NAME="Fedora Linux 40"\n',
  'usr/bin/env': program('x86_64'),
};

test('a tree of an RPM-based distribution boots by its own entries and loader', async t => {
  const image = imageOf(RPM);
  const planned = await planBoot(requestFor(image.files, { sources: [ofImage(image.files)] }));
  t.deepEqual(planned.facts.kernels, [
    '6.8.11-300.fc40.x86_64',
    '6.8.5-301.fc40.x86_64',
    '0-rescue-8f3d0e0c',
  ]);
  // Its GRUB reads its entries itself, so that its own configuration stays and is enough.
  t.deepEqual(planned.generated.paths, ['/etc/fstab']);
  const read = (path: string): string =>
    planned.esp!.find(file => file.path === path)!.bytes.toString('latin1');
  t.regex(read('EFI/BOOT/BOOTX64.EFI'), /shim of the image/);
  t.regex(read('EFI/fedora/grub.cfg'), /configfile \(\$root\)\/boot\/grub2\/grub\.cfg/);
});

test('where the loader does not know entries, a menu is made of them', async t => {
  const { text, warnings, generated } = await plan({ ...RPM, 'boot/efi/EFI/fedora/grubx64.efi': '' });
  t.deepEqual(generated.paths, ['/boot/grub2/image-unpacker.cfg', '/etc/fstab']);
  t.regex(warnings[0]!, /\/boot\/grub2\/grub\.cfg, which stays as it is, has commands/);
  const menu = text('/boot/grub2/image-unpacker.cfg')!;
  const [first] = menu.split('}').filter(part => part.includes('menuentry'));
  t.regex(first!, /menuentry 'Fedora Linux \(6\.8\.11-300\.fc40\.x86_64\) 40' \{/);
  t.regex(
    first!,
    new RegExp(
      `linux /boot/vmlinuz-6.8.11-300.fc40.x86_64 root=${ROOT} ro console=tty0 console=ttyS0,115200n8 audit=1\n  initrd /boot/initramfs-6.8.11-300.fc40.x86_64.img\n`,
    ),
  );
});

test('a kernel that only the modules have is found', async t => {
  const { text } = await plan({
    'usr/lib/modules/6.9.1/vmlinuz': kernelOfX86(),
    'usr/lib/modules/6.9.1/initramfs.img': 'x',
    'usr/lib/modules/6.9.1/kernel/fs/ext4.ko': 'x',
  });
  t.regex(text('/boot/grub/grub.cfg')!, /linux \/usr\/lib\/modules\/6\.9\.1\/vmlinuz /);
});
