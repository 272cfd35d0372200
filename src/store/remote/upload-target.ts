import { open } from 'node:fs/promises';
import { comparePaths } from '../../image/path.js';
import type { Watch } from '../../native.js';
import type { StagedObject, UploadTarget } from '../cache/uploads.js';
import { unlessDamaged } from '../damage.js';
import type { FileData } from '../derive-object.js';
import type { Derivable } from '../find-derivable.js';
import { findDerivable } from '../find-derivable.js';
import { inParallel } from '../in-parallel.js';
import type { ManifestReader } from '../manifest-reader.js';
import type { SmallObject } from '../store.js';
import type { ServerConnection } from './connection.js';

const DERIVED_AT_ONCE = 4;
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

  async derive(files: readonly (FileData & { path: Buffer })[], watch: Watch): Promise<boolean[]> {
    const derived = new Set<FileData>();
    const sorted = [...files].sort((a, b) => comparePaths(a.path, b.path));
    const base = this.#base;
    if (base === undefined) return files.map(() => false);
    // Where the image is damaged, all is sent.
    const find = () => findDerivable(base, sorted, watch);
    const pairs = (await unlessDamaged('', () => undefined, find)) ?? [];
    const derive = async ({ wanted, found }: Derivable<FileData>): Promise<void> => {
      if (await this.#server.deriveObject(wanted, found)) derived.add(wanted);
    };
    await inParallel(pairs, DERIVED_AT_ONCE, derive, watch.signal);
    return files.map(file => derived.has(file));
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
