import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { BLOCK_SIZE } from '../../image/entry.js';
import { ImageUnpackerError, type ErrorCode } from '../../image/error.js';
import { blockDeviceSize, flushBuffers } from '../../native.js';
import type { BlockReader } from './block-reader.js';

/** A device that nobody else can mount or open for themselves while it is held. */
export interface Device {
  path: string;
  /** In bytes. */
  size: number;
  /** The blocks from `offset` (bytes) on, to the end of the device. */
  reader(offset?: number): BlockReader;
  close(): Promise<void>;
}

const OPEN_ERRORS: Readonly<Record<string, [ErrorCode, string]>> = {
  ENOENT: ['DEVICE_MISSING', 'there is no such device'],
  ENXIO: ['DEVICE_MISSING', 'nothing is behind this device'],
  ENOMEDIUM: ['DEVICE_MISSING', 'nothing is behind this device'],
  EBUSY: ['DEVICE_IN_USE', 'it is mounted or in use; unmount it and try again'],
};

/**
 * Opens a block device for reading, exclusively, and drops what the page cache holds of it, which may be
 * older than what was written through another of its nodes. An image file is taken as well, though
 * nothing keeps others from changing it. Throws `DEVICE_*`.
 */
export async function openDevice(path: string): Promise<Device> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_EXCL);
  } catch (error) {
    const [code, why] = OPEN_ERRORS[(error as NodeJS.ErrnoException).code ?? ''] ?? [];
    if (code === undefined) throw ImageUnpackerError.from(error, `Cannot open ${path}`, { device: path });
    throw new ImageUnpackerError(code, `Cannot open ${path}: ${String(why)}`, { device: path }, error);
  }
  try {
    const size = await freshSize(handle, path);
    return {
      path,
      size,
      reader: (offset = 0) => blocksOfFile(handle, path, offset, size),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw ImageUnpackerError.from(error, `Cannot read ${path}`, { device: path });
  }
}

async function freshSize(handle: FileHandle, path: string): Promise<number> {
  const status = await handle.stat();
  if (status.isFile()) return status.size;
  if (!status.isBlockDevice()) {
    throw new ImageUnpackerError('DEVICE_NOT_BLOCK', `${path} is not a block device`, { device: path });
  }
  flushBuffers(handle.fd);
  return Number(blockDeviceSize(handle.fd));
}

function blocksOfFile(handle: FileHandle, path: string, offset: number, size: number): BlockReader {
  return {
    blocks: Math.floor(Math.max(0, size - offset) / BLOCK_SIZE),
    read: async (block, count, into) => {
      const position = offset + block * BLOCK_SIZE;
      const length = count * BLOCK_SIZE;
      let done = 0;
      try {
        while (done < length) {
          const { bytesRead } = await handle.read(into, done, length - done, position + done);
          if (bytesRead === 0) throw new Error('it ends before its size');
          done += bytesRead;
        }
      } catch (error) {
        const doing = `Cannot read ${path} at byte ${String(position + done)}`;
        const { message, code } = ImageUnpackerError.from(error, doing);
        const stable = code === 'INTERNAL' ? 'DEVICE_FAILED' : code;
        throw new ImageUnpackerError(stable, message, { device: path }, error);
      }
    },
  };
}

/** What an error is of that says what is wrong with a volume, but not yet of which. */
const VOLUME_ERRORS: readonly ErrorCode[] = ['VOLUME_DAMAGED', 'VOLUME_DOUBTFUL', 'UNSUPPORTED', 'DEVICE_FOREIGN'];
const REMEDIES: Partial<Record<ErrorCode, string>> = {
  VOLUME_DAMAGED: '; repair it with e2fsck -fy, or make it anew, and apply the image again',
  VOLUME_DOUBTFUL: '; apply the image again, which repairs it',
};

/** The same error, with the name of the device and what to do, if it is about a volume and lacks them. */
export function nameDevice(error: unknown, device: string): unknown {
  if (!(error instanceof ImageUnpackerError) || error.subject.device !== undefined) return error;
  const { code, message, subject } = error;
  if (!VOLUME_ERRORS.includes(code)) return error;
  return new ImageUnpackerError(code, `${device}: ${message}${REMEDIES[code] ?? ''}`, { ...subject, device }, error);
}
