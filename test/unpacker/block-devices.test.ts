import { join } from 'node:path';
import test from 'ava';
import { deviceOf, findDevice, listDisks } from '../../src/unpacker/block-devices.js';
import { machine } from './machine.js';

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
