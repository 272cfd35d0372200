import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BLOCK_SIZE } from '../image/entry.js';
import { mount, unmount } from '../native.js';
import { kernelName } from './device-use.js';
import { SNAPSHOT_BLOCK_BYTES } from './written-blocks.js';

/** How many blocks a file may have of which ext4 puts the data together with that of others: 16 by default. */
const MOST_BLOCKS = SNAPSHOT_BLOCK_BYTES / BLOCK_SIZE;

/**
 * Has ext4 put the data of all new files that are smaller than a block of a snapshot together, wherever their inodes are
 * (`mb_stream_req`, Documentation/ABI/testing/sysfs-fs-ext4). By default it looks for room near the inode for each that is
 * above 64 KiB: on a volume that has been changed often that is a gap here and one there. It lasts as long as the device
 * stays mounted. Where the kernel does not let us, the files only lie less close together.
 */
export async function packFiles(device: string): Promise<void> {
  // One of our own: where services run, /sys is mounted to be read only.
  const system = await mount('sysfs', 'sysfs', false, []).catch(() => undefined);
  if (system === undefined) return;
  const settings = `/proc/self/fd/${String(system.root)}/fs/ext4`;
  try {
    const name = await kernelName(device);
    await writeFile(join(settings, name, 'mb_stream_req'), String(MOST_BLOCKS)).catch(() => undefined);
  } finally {
    await unmount(system);
  }
}
