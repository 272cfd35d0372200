import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { ResultRow } from '../../src/publisher/row.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { debianFault, makeDebian, nameDebian, REPORT } from './debian-image.js';
import { packagesFault, unpackPackages } from './debian-packages.js';
import { BootShop } from './publisher.js';
import { makeSmallTree, MARKER } from './small-image.js';
import type { Machine } from './virtual-machine.js';
import { boot, bootTest, machineFault } from './virtual-machine.js';

/*
 * The proof of a disk is that it boots: a Debian of two revisions, on NVMe and virtio, by BIOS and UEFI, as raw and
 * as qcow2; and an arm64 image. Takes a mirror of Debian, and a quarter of an hour.
 */

const MINUTE = 60_000;
const CHECKED = 'console=tty0 console=ttyS0,115200n8 check-files';

const debianTest = bootTest(machineFault() ?? packagesFault() ?? debianFault());
const armTest = bootTest(machineFault('arm64') ?? packagesFault());

async function expectUp(
  t: ExecutionContext,
  row: ResultRow,
  machine: Omit<Machine, 'disk'>,
  files = 'unchecked',
): Promise<void> {
  const { firmware, bus } = machine;
  const root = bus === 'nvme' ? '/dev/nvme0n1p3' : '/dev/vda3';
  const said = await boot({ disk: row.Path!, ...machine }, new RegExp(REPORT));
  t.is(said, `${REPORT} ${row.ImageName} root=${root}-ext4-rw firmware=${firmware} failed=0 files=${files}`);
}

debianTest('two revisions of a Debian boot on every kind of machine', async t => {
  t.timeout(60 * MINUTE);
  const shop = new BootShop(
    t,
    `streams: { os/checked: { boot: { kernelOptions: "${CHECKED}" } }, os/systemd-boot: { disk: { espSize: 128MiB }, boot: { loader: systemd-boot } } }\n`,
  );
  const tree = shop.path('debian');
  makeDebian(tree);
  nameDebian(tree, 'os/debian/1');
  shop.build('os/debian/1', tree);
  const [raw, qcow2] = shop.publish('os/debian/1');
  await expectUp(t, raw, { format: 'raw', bus: 'nvme', firmware: 'bios' });
  await expectUp(t, qcow2, { format: 'qcow2', bus: 'virtio', firmware: 'uefi' });

  // The second revision brings its own loaders, those for UEFI signed.
  const packages = [
    'grub-pc-bin',
    'grub-efi-amd64-signed',
    'shim-signed',
    'shim-helpers-amd64-signed',
    'systemd-boot-efi',
  ];
  const loaders = unpackPackages(temporaryDirectory(t), 'x86_64', packages);
  cpSync(join(loaders, 'usr/lib'), join(tree, 'usr/lib'), { recursive: true, verbatimSymlinks: true });
  nameDebian(tree, 'os/debian/2');
  shop.build('os/debian/2', tree);
  const second = shop.publish('os/debian/2');
  await expectUp(t, second[1], { format: 'qcow2', bus: 'nvme', firmware: 'bios' });

  nameDebian(tree, 'os/checked/2');
  shop.build('os/checked/2', tree);
  const checked = shop.publish('os/checked/2');
  await expectUp(t, checked[1], { format: 'qcow2', bus: 'virtio', firmware: 'bios' }, 'good');
  await expectUp(t, checked[0], { format: 'raw', bus: 'nvme', firmware: 'uefi' }, 'good');

  nameDebian(tree, 'os/systemd-boot/2');
  shop.build('os/systemd-boot/2', tree);
  const [other] = shop.publish('os/systemd-boot/2');
  await expectUp(t, other, { format: 'raw', bus: 'virtio', firmware: 'uefi' });
});

armTest('an arm64 image boots by UEFI with the loader of its own packages', async t => {
  t.timeout(30 * MINUTE);
  const host = unpackPackages(temporaryDirectory(t), 'x86_64', ['busybox-static']);
  const names = ['linux-image-cloud-arm64', 'busybox-static', 'grub-efi-arm64-bin'];
  const root = unpackPackages(temporaryDirectory(t), 'arm64', names);
  const shop = new BootShop(t, 'boot: { console: ttyAMA0, kernelOptions: "console=ttyAMA0 options=arm" }\n');
  const tree = shop.tree('os/arm/1');
  makeSmallTree(tree, { root, busybox: join(host, 'bin/busybox') }, 'os/arm/1', 'debian');
  cpSync(join(root, 'usr/lib/grub'), join(tree, 'usr/lib/grub'), { recursive: true });
  shop.build('os/arm/1', tree);
  const [row] = shop.publish('os/arm/1');
  t.like(row, { Architecture: 'arm64', BootMode: 'uefi' });
  const said = await boot(
    { disk: row.Path!, format: 'raw', bus: 'virtio', firmware: 'uefi', architecture: 'arm64' },
    new RegExp(MARKER),
  );
  t.is(said, `${MARKER} os/arm/1 files=good firmware=uefi root=ro options=arm`);
});
