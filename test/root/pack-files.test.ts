import { truncateSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import test from 'ava';
import { openDevice } from '../../src/volume/device.js';
import { volumeIdentity } from '../../src/volume/identity.js';
import { fileSystemShape, makeFileSystem, zeroDevice } from '../../src/volume/make-file-system.js';
import { withMount } from '../../src/volume/mounted.js';
import { attach, temporaryDirectory } from './ext4-fixture.js';

test('what is smaller than a block of a snapshot is written together, while the volume is written', async t => {
  const file = join(temporaryDirectory(t), 'volume');
  writeFileSync(file, '');
  truncateSync(file, 64 << 20);
  const path = attach(t, file);
  const device = await openDevice(path, { write: true });
  try {
    const zeroed = await zeroDevice(device);
    await makeFileSystem(device, volumeIdentity('s', 'whole'), fileSystemShape(device.size, 100), zeroed, {});
    const setting = async (): Promise<string> =>
      (await readFile(`/sys/fs/ext4/${basename(path)}/mb_stream_req`, 'latin1')).trim();
    t.is(await withMount(device, true, setting), '128');
    t.is(await withMount(device, false, setting), '16');
    await t.throwsAsync(setting, { code: 'ENOENT' });
  } finally {
    await device.file.close();
  }
});
