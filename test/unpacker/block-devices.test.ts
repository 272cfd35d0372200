import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { deviceOf, findDevice, listDisks, type DevicePlaces } from '../../src/unpacker/block-devices.js';

/** Directories that tell of disks as the kernel does. */
function machine(
  t: ExecutionContext,
  files: Record<string, string>,
  links: Record<string, string> = {},
): DevicePlaces {
  const root = mkdtempSync(join(tmpdir(), 'devices-'));
  t.teardown(() => {
    rmSync(root, { recursive: true });
  });
  const places = { sys: join(root, 'sys'), dev: join(root, 'dev') };
  mkdirSync(join(places.dev, 'disk/by-id'), { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    for (const parent of ['block', 'class/block']) {
      const path = join(places.sys, parent, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, `${text}\n`);
    }
  }
  for (const [name, target] of Object.entries(links))
    symlinkSync(target, join(places.dev, 'disk/by-id', name));
  return places;
}

const FILES = {
  'nvme0n1/size': '2048',
  'nvme0n1/device/serial': 'vol0aaa   ',
  'nvme1n1/size': '4096',
  'nvme1n1/device/serial': 'vol0bbb',
  'nvme1n1/ro': '1',
  'sda/size': '8192',
  'loop0/size': '16',
  'loop1/size': '0',
};

test('a disk is known by its serial number, else by its link, else by its path', async t => {
  const links = { 'wwn-1': '../../sda', 'scsi-9': '../../sda', 'nvme-x': '../../nvme0n1' };
  const places = machine(t, FILES, links);
  const disks = await listDisks(places);
  t.deepEqual(
    disks.map(({ size, readOnly, id }) => [id.kind, id.name, size, readOnly]),
    [
      ['path', join(places.dev, 'loop0'), 8192, false],
      ['serial', 'vol0aaa', 1 << 20, false],
      ['serial', 'vol0bbb', 2 << 20, true],
      ['by-id', 'scsi-9', 4 << 20, false],
    ],
  );
});

test('a disk is found again under another name of the kernel, and only it', async t => {
  const id = { kind: 'serial', name: 'vol0bbb' } as const;
  t.is((await deviceOf(id, machine(t, FILES))).size, 2 << 20);
  const renamed = machine(t, { 'nvme7n1/size': '4096', 'nvme7n1/device/serial': 'vol0bbb' });
  t.is((await deviceOf(id, renamed)).path, join(renamed.dev, 'nvme7n1'));
  t.is((await findDevice('vol0bbb', renamed)).path, join(renamed.dev, 'nvme7n1'));
  await t.throwsAsync(deviceOf(id, machine(t, { 'nvme1n1/size': '4096' })), { code: 'DEVICE_MISSING' });
  const twins = machine(t, { ...FILES, 'nvme9n1/size': '4096', 'nvme9n1/device/serial': 'vol0bbb' });
  await t.throwsAsync(deviceOf(id, twins), { code: 'DEVICE_FAILED', message: /same serial number/ });
});
