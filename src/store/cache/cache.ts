import { randomBytes } from 'node:crypto';
import { utimesSync } from 'node:fs';
import { lstat, mkdir, readdir, rm, unlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ImageUnpackerError } from '../../image/error.js';
import type { Watch } from '../../native.js';
import type { SourceKnowledge } from '../../source/tree.js';
import { isDamage } from '../damage.js';
import { inParallel } from '../../image/in-parallel.js';
import { isObject, objectPath, OBJECTS, SHARDS } from '../local/layout.js';
import { lockStore } from '../local/lock-store.js';
import { openLocalStore } from '../local/store.js';
import type { LocalStore } from '../local/store.js';
import type { FetchedObjects } from '../store.js';

/*
 * Objects of stores that are elsewhere, on this machine. A cache is a store in a directory (local/layout.ts) without
 * images; several programs may use one at once, for several stores. What was needed last stays, up to a size.
 *
 *   store/                                 the objects
 *   staging/SESSION/                       a store for what a process uploads, removed when it is done
 */

const STORE = 'store';
const STAGING = 'staging';
/** It is made smaller than it may be, so that this is not done every time. */
const KEPT_PART = 0.9;
/** What was made so lately may be in the making. */
const STAGING_MILLISECONDS = 600_000;

export interface CacheOptions {
  directory: string;
  /** What all objects in it may have together, in bytes; while they are in use they may have more. */
  maxBytes: number;
  signal?: AbortSignal | undefined;
}

/** Brings an object from where it is: its bytes, which are hashed here, whoever has hashed them before. */
export type BringObject = (digest: Buffer) => AsyncIterable<Buffer>;

/** Objects of a store that is elsewhere, kept on this machine. Nothing is handed out that was not hashed when it was asked for. */
export class ObjectCache {
  readonly #options: CacheOptions;
  readonly #path: string;
  #store: Promise<LocalStore> | undefined;
  #hasGrown = false;

  constructor(options: CacheOptions) {
    this.#options = options;
    this.#path = resolve(options.directory);
  }

  /**
   * Makes objects files of this machine, each verified; `bring` is asked for those that are not there, or not good, at most
   * `most` at once. Throws what `bring` throws, and `STORE_DAMAGED` when what it brought is another object.
   */
  async fetch(
    digests: readonly Buffer[],
    bring: BringObject,
    most: number,
    watch: Watch,
  ): Promise<FetchedObjects> {
    const store = await this.#open();
    const unique = [...new Map(digests.map(digest => [digest.toString('latin1'), digest])).values()];
    const there = await store.has(unique);
    let bytesFetched = await this.#bring(
      unique.filter((_, at) => !there[at]!),
      bring,
      most,
      watch,
    );
    this.#markNeeded(unique);
    try {
      return { ...(await store.fetch(digests, watch)), bytesFetched };
    } catch (reason) {
      if (!isDamage(reason)) throw reason;
      const { faults } = await store.check(unique, { signal: watch.signal });
      const bad = faults.map(({ digest }) => digest);
      for (const digest of bad) await rm(this.#pathOf(digest), { force: true, recursive: true });
      bytesFetched += await this.#bring(bad, bring, most, watch);
      return { ...(await store.fetch(digests, watch)), bytesFetched };
    }
  }

  /** Those of the objects that are not here. */
  async missing(digests: readonly Buffer[]): Promise<Buffer[]> {
    const there = await (await this.#open()).has(digests);
    return digests.filter((_, at) => !there[at]!);
  }

  /** Keeps an object. */
  async put(bytes: Buffer): Promise<void> {
    this.#hasGrown = true;
    await (await this.#open()).put(bytes);
  }

  /** What `remember` kept of a source; undefined if it kept nothing. */
  async recall(source: string): Promise<Buffer | undefined> {
    return (await this.#open()).recall(source);
  }

  /** Keeps what is known of a source (source/known-files.ts); for which store does not matter. */
  async remember(knowledge: SourceKnowledge): Promise<void> {
    await (await this.#open()).remember(knowledge);
  }

  /** An empty store for what is uploaded. Closing it removes it. */
  async stage(): Promise<Staging> {
    const path = join(this.#path, STAGING, randomBytes(8).toString('hex'));
    try {
      await this.#clearStaging();
      const store = await openLocalStore(path, { create: true, signal: this.#options.signal });
      await store.has([]);
      return new Staging(store, path);
    } catch (reason) {
      throw this.#failed(reason);
    }
  }

  async close(): Promise<void> {
    const store = await this.#store?.catch(() => undefined);
    this.#store = undefined;
    await store?.close();
    if (store !== undefined && this.#hasGrown) await this.#shrink();
  }

  async #open(): Promise<LocalStore> {
    this.#store ??= (async () => {
      try {
        await mkdir(this.#path, { recursive: true, mode: 0o700 });
        return await openLocalStore(join(this.#path, STORE), { create: true, signal: this.#options.signal });
      } catch (reason) {
        throw this.#failed(reason);
      }
    })();
    return this.#store;
  }

  async #bring(digests: readonly Buffer[], bring: BringObject, most: number, watch: Watch): Promise<number> {
    if (digests.length === 0) return 0;
    const store = await this.#open();
    this.#hasGrown = true;
    let [objects, bytes] = [0, 0];
    const count = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const chunk of chunks) {
        bytes += chunk.length;
        watch.onProgress?.(objects, bytes);
        yield chunk;
      }
    };
    await inParallel(
      digests,
      most,
      async digest => {
        const stored = await store.putStream(count(bring(digest)));
        objects++;
        if (!stored.digest.equals(digest)) throw otherDigest(digest);
      },
      watch.signal,
    );
    return bytes;
  }

  /** What was needed last goes last. */
  #markNeeded(digests: readonly Buffer[]): void {
    const now = Date.now();
    for (const digest of digests) {
      try {
        utimesSync(this.#pathOf(digest), now / 1000, now / 1000);
      } catch {
        // Another user's: then it goes sooner.
      }
    }
  }

  #pathOf(digest: Buffer): string {
    return join(this.#path, STORE, OBJECTS, objectPath(digest));
  }

  /** Makes it as small as it must be, unless others use it: the last one of them does. */
  async #shrink(): Promise<void> {
    const path = join(this.#path, STORE);
    const lock = await lockStore(path, 'exclusive', 0, undefined).catch(() => undefined);
    if (lock === undefined) return;
    try {
      const objects: { path: string; size: number; needed: number }[] = [];
      let bytes = 0;
      for (const shard of SHARDS) {
        const directory = join(path, OBJECTS, shard);
        for (const file of await readdir(directory, { withFileTypes: true })) {
          if (!isObject(file, shard)) continue;
          const { size, mtimeMs } = await lstat(join(directory, file.name));
          objects.push({ path: join(directory, file.name), size, needed: mtimeMs });
          bytes += size;
        }
      }
      if (bytes <= this.#options.maxBytes) return;
      objects.sort((a, b) => a.needed - b.needed);
      for (const object of objects) {
        if (bytes <= this.#options.maxBytes * KEPT_PART) break;
        await unlink(object.path);
        bytes -= object.size;
      }
    } finally {
      await lock.close();
    }
  }

  /** Removes what dead processes have left of their uploads. */
  async #clearStaging(): Promise<void> {
    const top = join(this.#path, STAGING);
    await mkdir(top, { recursive: true, mode: 0o700 });
    for (const name of await readdir(top)) {
      const path = join(top, name);
      const { mtimeMs } = await lstat(path).catch(() => ({ mtimeMs: Date.now() }));
      // One that is being made has no lock yet.
      if (Date.now() - mtimeMs < STAGING_MILLISECONDS) continue;
      try {
        await (await lockStore(path, 'exclusive', 0, undefined)).close();
      } catch (reason) {
        if (reason instanceof ImageUnpackerError && reason.code === 'STORE_BUSY') continue;
      }
      await rm(path, { recursive: true, force: true });
    }
  }

  #failed(reason: unknown): ImageUnpackerError {
    const { directory } = this.#options;
    return ImageUnpackerError.from(reason, `Cannot use the cache ${directory}`, { path: directory });
  }
}

/** Objects on their way to a store that is elsewhere. */
export class Staging {
  readonly store: LocalStore;
  readonly #path: string;

  constructor(store: LocalStore, path: string) {
    this.store = store;
    this.#path = path;
  }

  /** Where the object lies. */
  pathOf(digest: Buffer): string {
    return join(this.#path, OBJECTS, objectPath(digest));
  }

  /** Removes an object that has been uploaded. */
  async remove(digest: Buffer): Promise<void> {
    await rm(this.pathOf(digest), { force: true });
  }

  async close(): Promise<void> {
    await this.store.close();
    await rm(this.#path, { recursive: true, force: true });
  }
}

function otherDigest(digest: Buffer): ImageUnpackerError {
  const hex = digest.toString('hex');
  return new ImageUnpackerError('STORE_DAMAGED', `What came for the object ${hex} is another one`, {
    digest: hex,
    details: [`${hex} is damaged`],
  });
}
