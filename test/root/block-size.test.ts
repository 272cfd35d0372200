import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openDevice } from '../../src/volume/device.js';
import { volumeIdentity } from '../../src/volume/identity.js';
import { fileSystemShape, makeFileSystem, zeroDevice } from '../../src/volume/make-file-system.js';
import { attach, run, temporaryDirectory } from './ext4-fixture.js';

const [MIB, GIB] = [2 ** 20, 2 ** 30];
/** mke2fs takes blocks of 1024 bytes up to 512 MiB by itself, and has kinds of its own below 3 MiB and from 4 TiB on. */
const SIZES = [
  ...[16 * MIB, 64 * MIB + 512, 511 * MIB, 512 * MIB - 4096, 512 * MIB, 512 * MIB + 4096, GIB - 1024, GIB],
  ...[3 * GIB + 512, 100 * GIB, 1024 * GIB],
];

test('blocks have 4096 bytes on a device of whatever size', async t => {
  const directory = temporaryDirectory(t);
  for (const size of SIZES) {
    const file = join(directory, String(size));
    writeFileSync(file, '');
    truncateSync(file, size);
    const path = attach(t, file);
    const device = await openDevice(path, { write: true });
    try {
      const zeroed = await zeroDevice(device);
      const shape = {
        ...fileSystemShape(device.size, 100),
        inodes: Math.min(Number(device.size / 16_384n), 65_536),
      };
      await makeFileSystem(device, volumeIdentity('s', 'whole'), shape, zeroed, {});
    } finally {
      await device.file.close();
    }
    const listing = run('dumpe2fs', '-h', path);
    t.regex(listing, /^Block size: +4096$/m, String(size));
    t.regex(listing, /^Inode size:\s+256$/m, String(size));
    t.notThrows(() => run('e2fsck', '-fn', path), String(size));
  }
});
