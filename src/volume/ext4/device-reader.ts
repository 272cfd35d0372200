import type { FileHandle } from 'node:fs/promises';
import { BLOCK_SIZE } from '../../image/entry.js';
import { ImageUnpackerError, type ErrorCode } from '../../image/error.js';
import type { BlockReader } from './block-reader.js';

/** An open device, or an image file in its place. */
export interface ReadableDevice {
  path: string;
  file: FileHandle;
  /** In bytes. */
  size: bigint;
}

/** The blocks of a device from `offset` (bytes) on, to its end. */
export function deviceReader({ path, file, size }: ReadableDevice, offset = 0): BlockReader {
  return {
    blocks: Math.max(0, Math.floor((Number(size) - offset) / BLOCK_SIZE)),
    read: async (block, count, into) => {
      const start = offset + block * BLOCK_SIZE;
      const length = count * BLOCK_SIZE;
      for (let done = 0; done < length;) {
        const read = await file.read(into, done, length - done, start + done).catch((error: unknown) => {
          throw readError(path, start + done, error);
        });
        if (read.bytesRead === 0) throw readError(path, start + done, new Error('it ends before its size'));
        done += read.bytesRead;
      }
    },
  };
}

function readError(device: string, position: number, cause: unknown): ImageUnpackerError {
  const message = `Cannot read ${device} at byte ${String(position)}: ${(cause as Error).message}`;
  return new ImageUnpackerError('DEVICE_FAILED', message, { device }, cause);
}

/** The codes of errors that say what is wrong with a volume, but not yet with which. */
const VOLUME_ERRORS: readonly ErrorCode[] = [
  'VOLUME_DAMAGED',
  'VOLUME_DOUBTFUL',
  'UNSUPPORTED',
  'DEVICE_FOREIGN',
];
const REMEDIES: Partial<Record<ErrorCode, string>> = {
  VOLUME_DAMAGED: '; repair it with e2fsck -fy, or make it anew, and apply the image again',
  VOLUME_DOUBTFUL: '; apply the image again, which repairs it',
};

/** The same error, with the name of the device and what to do, if it is about a volume and lacks them. */
export function nameDevice(error: unknown, device: string): unknown {
  if (!(error instanceof ImageUnpackerError) || error.subject.device !== undefined) return error;
  const { code, message, subject } = error;
  if (!VOLUME_ERRORS.includes(code)) return error;
  const remedy = REMEDIES[code] ?? '';
  return new ImageUnpackerError(code, `${device}: ${message}${remedy}`, { ...subject, device }, error);
}
