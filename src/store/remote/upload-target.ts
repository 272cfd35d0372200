import { createReadStream } from 'node:fs';
import type { StagedObject, UploadTarget } from '../cache/uploads.js';
import type { SmallObject } from '../store.js';
import type { ServerConnection } from './connection.js';

/** Large pieces cost fewer calls; two of them are in memory. */
const CHUNK_BYTES = 1 << 20;

/** Where objects go that are stored by an image server: small ones many at once. */
export class RemoteUploadTarget implements UploadTarget {
  readonly location: string;
  readonly verifies = true;
  readonly batch = { objects: 512, bytes: 4 << 20, atOnce: 4 };
  readonly #server: ServerConnection;

  constructor(server: ServerConnection) {
    this.location = server.location;
    this.#server = server;
  }

  /** What was asked for stays long enough: the server holds its store while it is asked. */
  rescue(): Promise<void> {
    return Promise.resolve();
  }

  async sizes(digests: readonly Buffer[]): Promise<(number | undefined)[]> {
    return this.#server.sizes(digests, false);
  }

  async addMany(objects: readonly SmallObject[]): Promise<void> {
    await this.#server.sendObjects(objects);
  }

  async addFile({ digest, size, path }: StagedObject): Promise<void> {
    await this.#server.sendObject(digest, size, start =>
      createReadStream(path, { start, highWaterMark: CHUNK_BYTES }),
    );
  }
}
