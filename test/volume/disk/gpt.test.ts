import { execFileSync } from 'node:child_process';
import { openSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { diskIdentity, isOurDisk } from '../../../src/volume/identity.js';
import { DEFAULT_SHAPE, isAsPlanned, planTable } from '../../../src/volume/disk/disk-plan.js';
import {
  decodeTable,
  encodeTable,
  isProtectiveRecord,
  protectiveRecord,
  SECTOR_BYTES,
} from '../../../src/volume/disk/gpt.js';
import { temporaryDirectory } from '../../temporary-directory.js';

const MIB = 1 << 20;
const disks = fc.record({
  stream: fc.string({ minLength: 1, maxLength: 20 }),
  // In blocks of 4096 bytes: 100 MiB to 4 TiB.
  size: fc.integer({ min: 25_600, max: 1 << 30 }).map(blocks => BigInt(blocks) * 4096n),
  shape: fc.record({
    biosBootBytes: fc.integer({ min: 1, max: 4 }).map(mib => mib * MIB),
    espBytes: fc.integer({ min: 34, max: 60 }).map(mib => mib * MIB),
  }),
});

test('a table is what was encoded, in both copies', t => {
  fc.assert(
    fc.property(disks, ({ stream, size, shape }) => {
      const table = planTable({ path: 'disk', size }, shape, diskIdentity(stream));
      const { primary, backup } = encodeTable(table);
      t.deepEqual(decodeTable(primary, 'primary'), table);
      t.deepEqual(decodeTable(backup, 'backup'), table);
      t.true(isAsPlanned(table));
      t.true(isOurDisk(table.id));
      for (const { first } of table.partitions) t.is(first % 2048n, 0n);
    }),
  );
});

test('a copy in which a bit is not as it was is no table', t => {
  const table = planTable({ path: 'disk', size: 1n << 30n }, DEFAULT_SHAPE, diskIdentity('a'));
  const copies = encodeTable(table);
  fc.assert(
    fc.property(fc.constantFrom('primary', 'backup'), fc.nat(33 * 512 * 8 - 1), (which, bit) => {
      const copy = Buffer.from(copies[which]);
      copy[bit >> 3]! ^= 1 << (bit & 7);
      t.is(decodeTable(copy, which), undefined);
    }),
  );
});

test('a stream has the same identity everywhere, another one another, and an image its own', t => {
  t.deepEqual(diskIdentity('base/debian'), diskIdentity('base/debian'));
  const all = [diskIdentity('base/debian'), diskIdentity('base/other'), diskIdentity('base/debian', 'ab')];
  const names = all.flatMap(({ disk, biosBoot, esp, root, uuid }) => [disk, biosBoot, esp, root, uuid]);
  t.is(new Set(names).size, names.length);
  t.false(isOurDisk('00000000-0000-0000-0000-000000000000'));
  // What this version has written every later one finds.
  t.is(diskIdentity('base/debian').disk, 'a86a2a74-ae44-8a7d-9ff1-3a6671accc3e');
});

test('a device that is too small is told how much it needs, which is enough', t => {
  const plan = (size: bigint) => planTable({ path: 'disk', size }, DEFAULT_SHAPE, diskIdentity('a'));
  const refusal = t.throws(() => plan(32n << 20n), { code: 'DEVICE_TOO_SMALL' });
  const { needed } = (refusal as unknown as { subject: { needed: number } }).subject;
  t.notThrows(() => plan(BigInt(needed)));
  t.throws(() => plan((1n << 30n) + 512n), { code: 'UNSUPPORTED' });
});

test('sfdisk finds nothing wrong with a table', t => {
  const file = join(temporaryDirectory(t), 'disk');
  const size = 200n << 20n;
  const table = planTable({ path: file, size }, DEFAULT_SHAPE, diskIdentity('a'));
  const { primary, backup } = encodeTable(table);
  writeFileSync(file, '');
  truncateSync(file, Number(size));
  const descriptor = openSync(file, 'r+');
  const record = protectiveRecord(table.sectors);
  t.true(isProtectiveRecord(record));
  writeSync(descriptor, record, 0, record.length, 0);
  writeSync(descriptor, primary, 0, primary.length, SECTOR_BYTES);
  writeSync(descriptor, backup, 0, backup.length, Number(size) - backup.length);
  const said = execFileSync('sfdisk', ['--json', '--output', 'ALL', file], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { partitiontable } = JSON.parse(said.toString()) as {
    partitiontable: { id: string; partitions: { start: number; size: number; type: string; uuid: string }[] };
  };
  t.is(partitiontable.id.toLowerCase(), table.id);
  t.deepEqual(
    partitiontable.partitions.map(({ start, size: length, uuid }) => [start, length, uuid.toLowerCase()]),
    table.partitions.map(({ id, first, last }) => [Number(first), Number(last - first) + 1, id]),
  );
  t.regex(execFileSync('sfdisk', ['--verify', file]).toString(), /No errors detected/);
});
