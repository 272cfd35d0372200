import { join } from 'node:path';
import test from 'ava';
import { pinnedPaths, whyUnusable } from '../../src/unpacker/list-devices.js';
import { machine } from './machine.js';

const DISK = { size: 4096, readOnly: false, id: { kind: 'path', name: '/dev/none' } } as const;

test('a device that cannot be examined is not one to be used, and it is said why', async t => {
  t.regex((await whyUnusable({ ...DISK, path: '/dev/none' }))!, /^cannot be examined: ENOENT/);
  t.is(await whyUnusable({ ...DISK, path: '/dev/none', readOnly: true }), 'is read-only');
});

test('every device is pinned that has the serial number of a pinned one; what is not there is no fault', async t => {
  const places = machine(t, {
    'nvme0n1/size': '2048',
    'nvme0n1/device/serial': 'vol0aaa',
    'nvme1n1/size': '2048',
    'nvme1n1/device/serial': 'vol0aaa',
    'nvme2n1/size': '2048',
    'nvme2n1/device/serial': 'vol0bbb',
  });
  const record = (stream: string, kind: 'serial' | 'by-id' | 'path', name: string) => ({
    stream,
    volume: { kind: 'device' as const, id: { kind, name }, size: 1 << 20 },
    lastUsed: null,
    error: null,
  });
  const records = [
    record('os/a', 'serial', 'vol0aaa'),
    record('os/b', 'serial', 'vol0ccc'),
    record('os/c', 'by-id', 'scsi-1'),
    record('os/d', 'path', join(places.dev, 'sda')),
  ];
  t.deepEqual(
    [...(await pinnedPaths(records, places))],
    [
      [join(places.dev, 'nvme0n1'), 'os/a'],
      [join(places.dev, 'nvme1n1'), 'os/a'],
    ],
  );
});
