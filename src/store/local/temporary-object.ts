import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, rename, rm } from 'node:fs/promises';
import { BackgroundHash } from '../../native.js';

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
/** Objects are never changed. */
export const OBJECT_MODE = 0o444;

/**
 * An object that is being written and hashed, and goes away unless it is published. While a piece is written and hashed off
 * the main thread, the next one may be brought.
 */
export class TemporaryObject {
  readonly #path: string;
  readonly #hash = new BackgroundHash();
  #file: FileHandle | undefined;
  #work: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Begins to write a piece once the one before it is written. */
  async write(piece: Buffer): Promise<void> {
    await this.#begin(file => this.#keep(file, piece));
  }

  /** The same for packed ranges of an open file (native/store.cc), which stays open until `digest` or `discard` has resolved. */
  async append(from: number, ranges: Buffer): Promise<void> {
    await this.#begin(file => this.#hash.append(from, file.fd, ranges));
  }

  /** The digest of all that was written. */
  async digest(): Promise<Buffer> {
    await this.#work;
    return this.#hash.digest();
  }

  async publish(path: string): Promise<void> {
    await this.#work;
    const file = this.#file ?? (await open(this.#path, CREATE, OBJECT_MODE));
    this.#file = undefined;
    await file.close();
    try {
      await rename(this.#path, path);
    } catch (reason) {
      await rm(this.#path, { force: true });
      throw reason;
    }
  }

  async discard(): Promise<void> {
    await this.#work?.catch(() => undefined);
    if (this.#file === undefined) return;
    const file = this.#file;
    this.#file = undefined;
    await file.close();
    await rm(this.#path, { force: true });
  }

  async #begin(work: (file: FileHandle) => Promise<void>): Promise<void> {
    await this.#work;
    this.#file ??= await open(this.#path, CREATE, OBJECT_MODE);
    this.#work = work(this.#file);
    // Whoever waits for it next is told.
    this.#work.catch(() => undefined);
  }

  async #keep(file: FileHandle, piece: Buffer): Promise<void> {
    const ends = await Promise.allSettled([writeAll(file, piece), this.#hash.update(piece)]);
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at)).bytesWritten;
}
