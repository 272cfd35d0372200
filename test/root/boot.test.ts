import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SYSTEM_CLOCK } from '../../src/cloud/aws/clock.js';
import type { ResultRow } from '../../src/publisher/row.js';
import { startSimulator } from '../simulator/index.js';
import { packagesFault, unpackPackages } from '../system/debian-packages.js';
import { BootShop } from '../system/publisher.js';
import type { Family, SmallPackages } from '../system/small-image.js';
import { makeSmallTree, MARKER } from '../system/small-image.js';
import { boot, bootTest, machineFault } from '../system/virtual-machine.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { checkDisk } from './check-disk.js';

/*
 * Both boot loaders start what was published, twice: the least Linux that there is, in the layout of Debian and in
 * that of RPM-based distributions.
 */

const smallTest = bootTest(machineFault() ?? packagesFault());
const callProgram = promisify(execFile);

function packages(directory: string): SmallPackages {
  const root = unpackPackages(directory, 'x86_64', ['linux-image-cloud-amd64', 'busybox-static']);
  return { root, busybox: join(root, 'bin/busybox') };
}

smallTest('two revisions of an image are published, and boot by BIOS and by UEFI', async t => {
  t.timeout(15 * 60_000);
  const parts = packages(temporaryDirectory(t));
  const shop = new BootShop(t, 'boot: { kernelOptions: "panic=10 options=configured" }\n');
  const revision = (name: string, family: Family): ReturnType<BootShop['publish']> => {
    makeSmallTree(shop.tree(name), parts, name, family);
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

smallTest(
  'an AMI, made a disk again of the blocks that EBS got, is its image, file by file, and boots',
  async t => {
    t.timeout(15 * 60_000);
    const account = '111122223333';
    const role = `arn:aws:iam::${account}:role/publisher`;
    const timing = { complete: 0.1, readable: 0.5, refused: 1 };
    const simulator = await startSimulator({ clock: SYSTEM_CLOCK, timing, roles: [{ arn: role }] });
    t.teardown(() => simulator.stop());
    const shop = new BootShop(t);
    const target = `{ account: "${account}", role: "${role}", regions: [us-east-1] }`;
    writeFileSync(shop.path('targets.yaml'), `targets: [${target}]\n`);
    const name = 'os/small/1';
    makeSmallTree(shop.tree(name), packages(temporaryDirectory(t)), name, 'debian');
    shop.build(name, shop.tree(name));
    const places = ['targets.yaml', 'store', 'state'].map(each => shop.path(each));
    const words = ['targets', 'store', 'state-dir'].flatMap((each, at) => [`--${each}`, places[at]!]);
    const env = { ...process.env, ...simulator.environment('999900001111') };
    // The simulator answers in this process.
    const { stdout } = await callProgram(
      'bin/ami-publisher',
      ['publish', 'os/small', '1', ...words, '--json'],
      {
        env,
      },
    );
    const disk = checkDisk(t, { shop, simulator }, (JSON.parse(stdout) as [ResultRow])[0]);
    const said = await boot({ disk, format: 'raw', bus: 'nvme', firmware: 'uefi' }, new RegExp(MARKER));
    t.is(said, `${MARKER} ${name} files=good firmware=uefi root=ro options=${name}`);
  },
);
