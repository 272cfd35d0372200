import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageUnpackerError } from '../../image/error.js';
import type { ObjectParts } from '../object-parts.js';
import { objectPath, OBJECTS } from './layout.js';
import type { LocalStore } from './store.js';

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** Large enough that a call costs little. */
const CHUNK_BYTES = 256 << 10;
/** So many readers have such a buffer, which is kept: each of hundreds of objects, sent in a moment, would leave one to be collected. */
const MOST_BUFFERS = 16;
const SMALL_CHUNK_BYTES = 64 << 10;

/** The objects of a store in a directory, piece by piece. */
export class LocalParts implements ObjectParts {
  readonly #store: LocalStore;
  readonly #path: string;
  readonly #free: Buffer[] = [];
  #made = 0;

  constructor(store: LocalStore, location: string) {
    this.#store = store;
    this.#path = join(location, OBJECTS);
  }

  async sizes(digests: readonly Buffer[]): Promise<(number | undefined)[]> {
    return this.#store.sizes(digests);
  }

  async *part(digest: Buffer, start: number, end: number): AsyncGenerator<Buffer, void, undefined> {
    await this.#hold();
    const file = await open(join(this.#path, objectPath(digest)), READ).catch((reason: unknown) => {
      if ((reason as NodeJS.ErrnoException).code === 'ENOENT') throw this.#fault(digest, 'is missing');
      throw this.#failed(reason);
    });
    const buffer = this.#takeBuffer();
    try {
      for (let at = start; at < end;) {
        const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - at), at);
        if (bytesRead === 0) throw this.#fault(digest, 'is shorter than it was');
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } catch (reason) {
      throw this.#failed(reason);
    } finally {
      if (buffer.length === CHUNK_BYTES) this.#free.push(buffer);
      await file.close();
    }
  }

  #takeBuffer(): Buffer {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#made === MOST_BUFFERS) return Buffer.allocUnsafeSlow(SMALL_CHUNK_BYTES);
    this.#made++;
    return Buffer.allocUnsafeSlow(CHUNK_BYTES);
  }

  /** Objects that were looked for stay until the store is closed. */
  async #hold(): Promise<void> {
    await this.#store.has([]);
  }

  #fault(digest: Buffer, what: string): ImageUnpackerError {
    const hex = digest.toString('hex');
    const message = `The object ${hex} of the store ${this.#store.location} ${what}`;
    return new ImageUnpackerError('STORE_DAMAGED', message, { path: this.#store.location, digest: hex });
  }

  #failed(reason: unknown): ImageUnpackerError {
    return ImageUnpackerError.from(reason, `Cannot read an object of the store ${this.#store.location}`, {
      path: this.#store.location,
    });
  }
}
