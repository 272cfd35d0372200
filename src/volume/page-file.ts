import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ByteWriter } from '../image/encoding.js';
import { ImageUnpackerError } from '../image/error.js';
import { isNativeError, readParts } from '../native.js';

/** Where in a page file something lies that is known by its SHA-512. */
export interface FilePart {
  offset: number;
  length: number;
  digest: Buffer;
}

/** A file of pages and tables, which is only ever appended to: what a state refers to stays where it is. */
export class PageFile {
  readonly path: string;
  readonly #file: FileHandle;

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  /** Opens the file of that generation, making it if it is not there. */
  static async open(directory: string, generation: number): Promise<PageFile> {
    const path = join(directory, `pages.${String(generation)}`);
    return new PageFile(path, await open(path, constants.O_RDWR | constants.O_CREAT, 0o600));
  }

  /** At most `length` bytes from `offset`; fewer where the file ends. */
  async read(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length);
    const { bytesRead } = await this.#file.read(bytes, 0, length, offset);
    return bytes.subarray(0, bytesRead);
  }

  /** Parts of the file, in the order asked. Throws `STATE_DAMAGED` when one does not have its digest. */
  async readParts(parts: readonly FilePart[]): Promise<Buffer[]> {
    try {
      return await readParts(this.#file.fd, packParts(parts));
    } catch (reason) {
      if (!isNativeError(reason) || reason.code !== 'EBADMSG') throw reason;
      throw this.damagedAt(Number(reason.detail));
    }
  }

  /** The error of a part that is not as it was written. */
  damagedAt(offset: number): ImageUnpackerError {
    const message = `${this.path} is damaged at ${String(offset)}`;
    return new ImageUnpackerError('STATE_DAMAGED', message, { path: this.path });
  }

  /** Writes pieces one behind the other from `offset`, where nothing in use is, durably. Returns where they end. */
  async append(offset: number, pieces: readonly Buffer[]): Promise<number> {
    const bytes = Buffer.concat(pieces);
    try {
      // What an interrupted run left behind.
      await this.#file.truncate(offset);
      for (let done = 0; done < bytes.length;) {
        done += (await this.#file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
      }
      await this.#file.datasync();
    } catch (reason) {
      throw ImageUnpackerError.from(reason, `Cannot write ${this.path}`, { path: this.path });
    }
    return offset + bytes.length;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** Packs parts as native/read.cc takes them. */
function packParts(parts: readonly FilePart[]): Buffer {
  const writer = new ByteWriter();
  for (const { offset, length, digest } of parts) {
    writer.u64(BigInt(offset));
    writer.u32(length);
    writer.raw(digest);
  }
  return writer.take();
}

/** Removes the page files of a record but the one in use. */
export async function removeOldPageFiles(directory: string, generation: number): Promise<void> {
  for (const name of await readdir(directory)) {
    if (name.startsWith('pages.') && name !== `pages.${String(generation)}`) await rm(join(directory, name));
  }
}
