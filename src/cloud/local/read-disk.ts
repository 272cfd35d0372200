import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { DISK_BLOCK_SIZE, diskBlocks } from '../../image/disk-map.js';
import type { DiskMap } from '../../image/disk-map.js';
import { ImageUnpackerError, throwIfAborted } from '../../image/error.js';
import type { CloudCallOptions } from '../cloud.js';
import type { DiskFormat } from './disk-format.js';

const ZEROS = Buffer.alloc(DISK_BLOCK_SIZE);

/**
 * Reads all of a disk's file and says what it holds. What describes the disk in the file must be exactly what
 * we write for such a disk. Throws `VOLUME_DAMAGED` when it is not, or the file is no disk of `size` bytes.
 */
export async function readDiskFile(
  path: string,
  format: DiskFormat,
  size: bigint,
  options: CloudCallOptions,
): Promise<DiskMap> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const { size: length } = await file.stat();
      if (length !== format.fileSize(size)) throw damaged(path, `its size is ${String(length)}`);
      const map = await readBlocks(file, format.dataOffset(size), size, options);
      await checkDescription(file, path, format, map);
      return map;
    } finally {
      await file.close();
    }
  } catch (reason) {
    throw ImageUnpackerError.from(reason, `Cannot read ${path}`, { path });
  }
}

async function readBlocks(
  file: FileHandle,
  dataOffset: number,
  size: bigint,
  { signal, onProgress }: CloudCallOptions,
): Promise<DiskMap> {
  const blocks = diskBlocks(size);
  const present = Buffer.alloc(Math.ceil(blocks / 8));
  const digests: Buffer[] = [];
  const buffer = Buffer.alloc(DISK_BLOCK_SIZE);
  for (let block = 0; block < blocks; block++) {
    throwIfAborted(signal);
    const at = block * DISK_BLOCK_SIZE;
    const length = Math.min(DISK_BLOCK_SIZE, Number(size) - at);
    const { bytesRead } = await file.read(buffer, 0, length, dataOffset + at);
    buffer.fill(0, bytesRead);
    if (!buffer.equals(ZEROS)) {
      present[block >>> 3]! |= 1 << (block & 7);
      digests.push(createHash('sha256').update(buffer).digest());
    }
    onProgress?.(at + length, Number(size));
  }
  return { size, present, digests: Buffer.concat(digests) };
}

async function checkDescription(file: FileHandle, path: string, format: DiskFormat, map: DiskMap) {
  for (const { offset, bytes } of format.description(map)) {
    const found = await readAt(file, bytes.length, offset);
    if (!found.equals(bytes)) throw damaged(path, `it is not as it was written at byte ${String(offset)}`);
  }
}

/** The bytes at an offset of a file; what is beyond its end reads as zeros. */
export async function readAt(file: FileHandle, length: number, offset: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes;
}

function damaged(path: string, why: string): ImageUnpackerError {
  return new ImageUnpackerError('VOLUME_DAMAGED', `The disk ${path} is damaged: ${why}`, { path });
}
