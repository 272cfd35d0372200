import { join } from 'node:path';
import { packagesFault, unpackPackages } from '../system/debian-packages.js';
import { BootShop } from '../system/publisher.js';
import type { Family, SmallPackages } from '../system/small-image.js';
import { makeSmallTree, MARKER } from '../system/small-image.js';
import { boot, bootTest, machineFault } from '../system/virtual-machine.js';
import { temporaryDirectory } from '../temporary-directory.js';

/*
 * Both boot loaders start what was published, twice: the least Linux that there is, in the layout of Debian and in
 * that of RPM-based distributions.
 */

const smallTest = bootTest(machineFault() ?? packagesFault());

smallTest('two revisions of an image are published, and boot by BIOS and by UEFI', async t => {
  t.timeout(15 * 60_000);
  const root = unpackPackages(temporaryDirectory(t), 'x86_64', ['linux-image-cloud-amd64', 'busybox-static']);
  const packages: SmallPackages = { root, busybox: join(root, 'bin/busybox') };
  const shop = new BootShop(t, 'boot: { kernelOptions: "panic=10 options=configured" }\n');
  const revision = (name: string, family: Family): ReturnType<BootShop['publish']> => {
    makeSmallTree(shop.tree(name), packages, name, family);
    shop.build(name, shop.tree(name));
    return shop.publish(name);
  };
  const [raw] = revision('os/small/1', 'debian');
  t.like(raw, { Architecture: 'x86_64', BootMode: 'uefi-preferred', RootDeviceName: '/dev/xvda' });
  const first = await boot(
    { disk: raw.Path!, format: 'raw', bus: 'nvme', firmware: 'bios' },
    new RegExp(MARKER),
  );
  t.is(first, `${MARKER} os/small/1 files=good firmware=bios root=ro options=configured`);
  const [, qcow2] = revision('os/small/2', 'rpm');
  t.true(qcow2.BlocksSent < 80, `${String(qcow2.BlocksSent)} blocks`);
  const second = await boot(
    { disk: qcow2.Path!, format: 'qcow2', bus: 'virtio', firmware: 'uefi' },
    new RegExp(MARKER),
  );
  t.is(second, `${MARKER} os/small/2 files=good firmware=uefi root=ro options=configured`);
});
