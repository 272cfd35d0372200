import { ImageUnpackerError } from '../image/error.js';
import type { DetachedMount } from '../native.js';
import { isNativeError, mount, syncFileSystem, unmount } from '../native.js';
import type { BlockDevice } from './device.js';
import { lendDevice } from './device.js';
import { packFiles } from './pack-files.js';

/*
 * A volume is mounted with no place in any tree, and used beneath that root only. Its device must not be
 * open exclusively meanwhile, so it is closed before, and its exclusive opening after proves that the mount
 * is gone.
 */

/**
 * ext4 options: no lazy work that writes later, read-only at the first error, and the first free space in order
 * rather than the quickest to find: else what is written is spread over a device that does not rotate.
 */
const WRITE_OPTIONS = [
  'noload',
  'errors=remount-ro',
  'noinit_itable',
  'noauto_da_alloc',
  'mb_optimize_scan=0',
];
/** A clean journal has nothing to replay, and reading must not write. */
const READ_OPTIONS = ['noload'];

/**
 * Mounts the clean file system on `device`, runs `work` with its root directory, makes all durable, unmounts
 * it and proves that: `device` is then open exclusively again. When `work` rejects, the unmount is proved all
 * the same.
 */
export async function withMount<T>(
  device: BlockDevice,
  write: boolean,
  work: (root: number) => Promise<T>,
): Promise<T> {
  return lendDevice(device, write, async held => {
    const mounted = await mountExt4(device.path, `/proc/self/fd/${String(held.fd)}`, write);
    try {
      if (write) await packFiles(device.path);
      const result = await work(mounted.root);
      if (write) await syncFileSystem(mounted.root);
      return result;
    } finally {
      await unmount(mounted);
    }
  });
}

async function mountExt4(path: string, source: string, write: boolean): Promise<DetachedMount> {
  try {
    return await mount('ext4', source, !write, write ? WRITE_OPTIONS : READ_OPTIONS);
  } catch (reason) {
    const said = isNativeError(reason) && reason.detail !== undefined ? ` (${reason.detail})` : '';
    const { message } = reason as Error;
    throw new ImageUnpackerError(
      'VOLUME_DAMAGED',
      `The file system on ${path} cannot be mounted: ${message}${said}`,
      { device: path },
      reason,
    );
  }
}
