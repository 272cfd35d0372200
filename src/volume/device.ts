import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ImageUnpackerError, throwIfAborted } from '../image/error.js';
import { blockDeviceSize, flushBuffers, isReadOnly } from '../native.js';
import { findUse } from './device-use.js';

/** How long a device may stay busy without a reason that can be seen: the last mount of a killed process goes away. */
const BUSY_SECONDS = 10;
const BUSY_POLL_MILLISECONDS = 20;

/** A block device that is open and that nobody else uses. */
export interface BlockDevice {
  path: string;
  file: FileHandle;
  size: bigint;
}

/** What is meant to be done with a device. */
export interface DeviceUse {
  /** It will be written to. */
  write: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * Opens a block device exclusively: it is not mounted, nor used by swap, by another device or by another
 * program, and it is not the machine's own. What the kernel had cached of it is dropped, so that reads give
 * what is on it. Throws `NOT_ROOT` or `DEVICE_*` with the reason; nothing is changed.
 */
export async function openDevice(path: string, use: DeviceUse): Promise<BlockDevice> {
  if (process.geteuid?.() !== 0) {
    throw new ImageUnpackerError('NOT_ROOT', `Opening ${path} takes root; run it as root`, { device: path });
  }
  await checkIsBlockDevice(path);
  const file = await openExclusively(path, use);
  try {
    const size = blockDeviceSize(file.fd);
    if (size === 0n) throw refused('DEVICE_MISSING', path, 'has no size: nothing is attached to it');
    if (use.write && isReadOnly(file.fd)) throw refused('DEVICE_READ_ONLY', path, 'is read-only');
    flushBuffers(file.fd);
    return { path, file, size };
  } catch (reason) {
    await file.close();
    throw ImageUnpackerError.from(reason, `Cannot open ${path}`, { device: path });
  }
}

/**
 * Gives up the exclusive hold on a device while `work` runs, which needs it for a tool or a mount, and
 * takes it again: that succeeds only when neither is left. `held` is the device that was checked, whatever
 * its name stands for by now.
 */
export async function lendDevice<T>(
  device: BlockDevice,
  write: boolean,
  work: (held: FileHandle) => Promise<T>,
): Promise<T> {
  const flags = write ? constants.O_RDWR : constants.O_RDONLY;
  const held = await open(`/proc/self/fd/${String(device.file.fd)}`, flags);
  try {
    await device.file.close();
    try {
      return await work(held);
    } finally {
      device.file = (await openDevice(device.path, { write })).file;
      if ((await held.stat()).rdev !== (await device.file.stat()).rdev) {
        throw refused('DEVICE_FAILED', device.path, 'is another device than before');
      }
      await device.file.sync();
    }
  } finally {
    await held.close();
  }
}

async function checkIsBlockDevice(path: string): Promise<void> {
  const found = await stat(path).catch((reason: unknown) => {
    if ((reason as NodeJS.ErrnoException).code === 'ENOENT')
      throw refused('DEVICE_MISSING', path, 'does not exist');
    throw ImageUnpackerError.from(reason, `Cannot open ${path}`, { device: path });
  });
  if (!found.isBlockDevice()) {
    throw refused('DEVICE_NOT_BLOCK', path, 'is not a block device; attach a file with losetup first');
  }
}

async function openExclusively(path: string, use: DeviceUse): Promise<FileHandle> {
  const deadline = performance.now() + BUSY_SECONDS * 1000;
  const flags = (use.write ? constants.O_RDWR : constants.O_RDONLY) | constants.O_EXCL;
  for (;;) {
    throwIfAborted(use.signal);
    const used = await findUse(path);
    if (used !== undefined) throw refused(used.system ? 'DEVICE_SYSTEM' : 'DEVICE_IN_USE', path, used.reason);
    try {
      return await open(path, flags);
    } catch (reason) {
      const { code } = reason as NodeJS.ErrnoException;
      if (code === 'EROFS' || code === 'EACCES') throw refused('DEVICE_READ_ONLY', path, 'is read-only');
      if (code === 'ENXIO' || code === 'ENOMEDIUM')
        throw refused('DEVICE_MISSING', path, 'has nothing attached to it');
      if (code !== 'EBUSY') throw ImageUnpackerError.from(reason, `Cannot open ${path}`, { device: path });
      if (performance.now() > deadline) throw refused('DEVICE_IN_USE', path, 'is in use by another program');
    }
    await sleep(BUSY_POLL_MILLISECONDS);
  }
}

function refused(code: ImageUnpackerError['code'], path: string, what: string): ImageUnpackerError {
  return new ImageUnpackerError(code, `${path} ${what}`, { device: path });
}
