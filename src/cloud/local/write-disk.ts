import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { chmod, copyFile, open, rm } from 'node:fs/promises';
import {
  blockDigests,
  changedBlocks,
  DISK_BLOCK_SIZE,
  diskBlocks,
  isBlockPresent,
} from '../../image/disk-map.js';
import type { DiskMap } from '../../image/disk-map.js';
import { ImageUnpackerError, throwIfAborted } from '../../image/error.js';
import type { CloudCallOptions, DiskContent } from '../cloud.js';
import type { DiskFormat } from './disk-format.js';
import { readAt } from './read-disk.js';

/** The unit of most file systems: what is as it should be is left out in whole ones. */
const PAGE = 4096;
const ZEROS = Buffer.alloc(DISK_BLOCK_SIZE);
const NEW_FILE = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
/** What a system says that cannot share the blocks of these two files (ioctl_ficlone(2)). */
const CANNOT_SHARE = new Set(['ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'EINVAL', 'ENOTTY', 'ENOSYS', 'EBADF']);

/** A disk that is to be written to a file. */
export interface DiskFileRequest {
  /** The file to make. One that is there is replaced. */
  readonly path: string;
  readonly format: DiskFormat;
  readonly content: DiskContent;
  /** The file of another disk of the same size and format, and what it holds. */
  readonly parent: { readonly path: string; readonly map: DiskMap } | undefined;
}

/** A disk file, durable. */
export interface DiskFile {
  /** When it was last written to, ns since 1970. */
  readonly modified: bigint;
  readonly blocksSent: number;
}

/**
 * Writes a disk as a sparse file. With a parent the file begins as a copy that shares the parent's blocks, and
 * only the pages that differ are written over it; where the file system cannot share, the blocks that are the
 * same are copied, each of them verified. Throws `NO_SPACE`, `NO_PERMISSION`, `DEVICE_FAILED`, `CANCELLED`, and what the content
 * throws; the file may be there then.
 */
export async function writeDiskFile(request: DiskFileRequest, options: CloudCallOptions): Promise<DiskFile> {
  const { path, parent } = request;
  try {
    await rm(path, { force: true });
    const shared = parent !== undefined && (await share(parent.path, path));
    const file = await open(path, shared ? constants.O_RDWR | constants.O_NOFOLLOW : NEW_FILE, 0o644);
    try {
      const writer = new DiskWriter(file, request, shared, options);
      const blocksSent = await writer.write();
      await file.chmod(0o444);
      await file.sync();
      return { modified: (await file.stat({ bigint: true })).mtimeNs, blocksSent };
    } finally {
      await file.close();
    }
  } catch (reason) {
    throw ImageUnpackerError.from(reason, `Cannot write ${path}`, { path });
  }
}

/** Makes `to` a copy of `from` that shares its blocks; resolves to whether the file system can. */
async function share(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
    await chmod(to, 0o644);
    return true;
  } catch (reason) {
    if (!CANNOT_SHARE.has((reason as NodeJS.ErrnoException).code ?? '')) throw reason;
    await rm(to, { force: true });
    return false;
  }
}

class DiskWriter {
  readonly #file: FileHandle;
  readonly #request: DiskFileRequest;
  /** Whether the file holds all of the parent already. */
  readonly #shared: boolean;
  readonly #options: CloudCallOptions;
  readonly #dataOffset: number;

  constructor(file: FileHandle, request: DiskFileRequest, shared: boolean, options: CloudCallOptions) {
    this.#file = file;
    this.#request = request;
    this.#shared = shared;
    this.#options = options;
    this.#dataOffset = request.format.dataOffset(request.content.map.size);
  }

  /** Writes all; resolves to how many blocks differ from the parent's, or are used if there is none. */
  async write(): Promise<number> {
    const { content, parent, format } = this.#request;
    await this.#file.truncate(format.fileSize(content.map.size));
    for (const { offset, bytes } of format.description(content.map)) await this.#put(bytes, offset);
    if (parent === undefined) {
      const used = [...presentBlocks(content.map)];
      await this.#fetch(used);
      return used.length;
    }
    const changed = changedBlocks(content.map, parent.map);
    const damaged = this.#shared ? [] : await this.#copy(new Set(changed));
    const wanted = [...changed, ...damaged].sort((a, b) => a - b);
    // What has become zeros is known, and nobody need be asked for it.
    if (this.#shared) await this.#clear(wanted.filter(block => !isBlockPresent(content.map, block)));
    await this.#fetch(wanted.filter(block => isBlockPresent(content.map, block)));
    return wanted.length;
  }

  async #fetch(numbers: readonly number[]): Promise<void> {
    const { signal, onProgress } = this.#options;
    let done = 0;
    onProgress?.(0, numbers.length * DISK_BLOCK_SIZE);
    for await (const bytes of this.#request.content.blocks(numbers)) {
      throwIfAborted(signal);
      await this.#putBlock(numbers[done]!, bytes);
      done++;
      onProgress?.(done * DISK_BLOCK_SIZE, numbers.length * DISK_BLOCK_SIZE);
    }
    if (done === numbers.length) return;
    const message = `Only ${String(done)} of ${String(numbers.length)} blocks of the disk came`;
    throw new ImageUnpackerError('INTERNAL', message);
  }

  async #clear(numbers: readonly number[]): Promise<void> {
    for (const number of numbers) await this.#putBlock(number, ZEROS);
  }

  /** Copies the blocks that have not changed from the parent; resolves to those that were not as they should be. */
  async #copy(changed: ReadonlySet<number>): Promise<number[]> {
    const { content, parent } = this.#request;
    const damaged: number[] = [];
    const file = await open(parent!.path, constants.O_RDONLY | constants.O_NOFOLLOW);
    const { onProgress, signal } = this.#options;
    const total = diskBlocks(content.map.size) * DISK_BLOCK_SIZE;
    const buffer = Buffer.alloc(DISK_BLOCK_SIZE);
    try {
      let block = 0;
      for (const digest of blockDigests(content.map)) {
        throwIfAborted(signal);
        if (digest !== undefined && !changed.has(block)) {
          (await readAt(file, this.#sizeOf(block), this.#offsetOf(block))).copy(buffer);
          buffer.fill(0, this.#sizeOf(block));
          if (createHash('sha256').update(buffer).digest().equals(digest))
            await this.#putBlock(block, buffer);
          else damaged.push(block);
        }
        block++;
        onProgress?.(block * DISK_BLOCK_SIZE, total);
      }
    } finally {
      await file.close();
    }
    return damaged;
  }

  async #putBlock(block: number, bytes: Buffer): Promise<void> {
    await this.#put(bytes.subarray(0, this.#sizeOf(block)), this.#offsetOf(block));
  }

  /** Writes the pages that are not so yet: a new file is all zeros, one that shares blocks has the parent's. */
  async #put(bytes: Buffer, offset: number): Promise<void> {
    const before = this.#shared ? await readAt(this.#file, bytes.length, offset) : undefined;
    const isSo = (at: number, end: number): boolean =>
      before === undefined
        ? ZEROS.compare(bytes, at, end, 0, end - at) === 0
        : before.compare(bytes, at, end, at, end) === 0;
    let start = 0;
    for (let at = 0; at <= bytes.length; at += PAGE) {
      const end = Math.min(at + PAGE, bytes.length);
      if (at < bytes.length && !isSo(at, end)) continue;
      if (at > start) await this.#writeAll(bytes.subarray(start, at), offset + start);
      start = end;
    }
    if (start < bytes.length) await this.#writeAll(bytes.subarray(start), offset + start);
  }

  async #writeAll(bytes: Buffer, offset: number): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      done += (await this.#file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
    }
  }

  #offsetOf(block: number): number {
    return this.#dataOffset + block * DISK_BLOCK_SIZE;
  }

  /** A whole block, but for the last one of the disk. */
  #sizeOf(block: number): number {
    return Math.min(DISK_BLOCK_SIZE, Number(this.#request.content.map.size) - block * DISK_BLOCK_SIZE);
  }
}

function* presentBlocks(map: DiskMap): Generator<number, void, undefined> {
  for (let block = 0; block < diskBlocks(map.size); block++) if (isBlockPresent(map, block)) yield block;
}
