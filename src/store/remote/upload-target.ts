import { open } from 'node:fs/promises';
import { comparePaths } from '../../image/path.js';
import type { Watch } from '../../native.js';
import type { StagedObject, UploadTarget } from '../cache/uploads.js';
import { unlessDamaged } from '../damage.js';
import type { Derivable, FileData } from '../derivable.js';
import { findDerivable } from '../find-derivable.js';
import type { ManifestReader } from '../manifest-reader.js';
import type { SmallObject } from '../store.js';
import type { ServerConnection } from './connection.js';

/** Large pieces cost fewer calls; one of them is in memory for each object that is sent. */
const PIECE_BYTES = 512 << 10;

/** Where objects go that are stored by an image server: small ones many at once. */
export class RemoteUploadTarget implements UploadTarget {
  readonly location: string;
  readonly verifies = true;
  /** As much as is on its way on a line of 1 Gb/s and 50 ms. */
  readonly batch = { objects: 512, bytes: 2 << 20, atOnce: 4 };
  readonly #server: ServerConnection;
  #base: ManifestReader | undefined;

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

  /** What is stored from now on is likely to be as the image of this manifest. */
  basedOn(base: ManifestReader): void {
    this.#base = base;
  }

  async findDerivable<T extends FileData & { path: Buffer }>(
    files: readonly T[],
    watch: Watch,
  ): Promise<Derivable<T>[]> {
    const base = this.#base;
    if (base === undefined) return [];
    const sorted = [...files].sort((a, b) => comparePaths(a.path, b.path));
    // Where the image is damaged, all is sent.
    return (
      (await unlessDamaged(
        '',
        () => undefined,
        () => findDerivable(base, sorted, watch),
      )) ?? []
    );
  }

  async derive(wanted: FileData, found: FileData): Promise<boolean> {
    return this.#server.deriveObject(wanted, found);
  }

  async addMany(objects: readonly SmallObject[]): Promise<void> {
    await this.#server.sendObjects(objects);
  }

  async addFile({ digest, size, path }: StagedObject): Promise<void> {
    await this.#server.sendObject(digest, size, start => readPieces(path, start));
  }
}

/** The bytes of a file from `start` on, all in the same memory: collecting what is new for each costs a tenth of an upload. */
async function* readPieces(path: string, start: number): AsyncGenerator<Buffer, void, undefined> {
  const file = await open(path);
  try {
    const buffer = Buffer.allocUnsafeSlow(PIECE_BYTES);
    for (let at = start; ;) {
      const { bytesRead } = await file.read(buffer, 0, PIECE_BYTES, at);
      if (bytesRead === 0) return;
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}
