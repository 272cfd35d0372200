import { lstat, readdir, unlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Collection, CollectOptions } from '../collection.js';
import { ImageUnpackerError, throwIfAborted } from '../../image/error.js';
import { MAX_INDEX_BYTES, MAX_PAGE_BYTES } from '../../image/limits.js';
import { decodeIndex } from '../../image/manifest.js';
import { decodePage } from '../../image/page.js';
import type { Step } from '../../image/progress.js';
import type { ImageRecord } from '../store.js';
import { LocalDiskMaps } from './disk-maps.js';
import { LocalImages } from './images.js';
import { isObject, OBJECTS, SHARDS } from './layout.js';
import { lockStore } from './lock-store.js';
import { LocalObjects } from './objects.js';
import { syncDirectory } from '../durable.js';
import { openDirectory } from './open-directory.js';
import { clearSessions } from './session.js';

/** Builds may take longer than anyone wants to wait for. */
const LOCK_MILLISECONDS = 10_000;
/** Enough of a digest to know an object by: were two alike in it, one would be kept that is not needed. */
const MARK_BYTES = 16;

/**
 * Deletes the objects that no image of the store needs. Nobody else can use the store meanwhile. Nothing is
 * deleted when a record, an index or a page is damaged: what it needs is not known then. Throws
 * `STORE_DAMAGED`, `STORE_BUSY`, `STORE_MISSING`.
 */
export async function collect(location: string, options: CollectOptions): Promise<Collection> {
  const { progress, signal } = options;
  const path = resolve(location);
  await openDirectory(path, false);
  const lock = await lockStore(path, 'exclusive', LOCK_MILLISECONDS, signal);
  try {
    const marking = progress.step('Finding what is needed', 'entries');
    const { images, marks } = await mark(path, marking, signal).finally(() => {
      marking.end();
    });
    if (!options.dryRun) {
      await clearSessions(path);
      await sweepDiskMaps(path, images);
    }
    const sweeping = progress.step('Deleting what is not', 'files');
    const swept = await sweep(path, marks, options, sweeping).finally(() => {
      sweeping.end();
    });
    return { images: images.length, ...swept, heldObjects: 0, heldBytes: 0 };
  } catch (reason) {
    throw ImageUnpackerError.from(reason, `Cannot collect the store ${location}`, { path: location });
  } finally {
    await lock.close();
  }
}

async function mark(path: string, step: Step, signal: AbortSignal | undefined) {
  const objects = new LocalObjects(path);
  const images = await new LocalImages(path).list();
  const marks = new Set<string>();
  const pages = new Set<string>();
  let entries = 0;
  for (const { digest, annotations } of images) {
    const wanted = Buffer.from(digest, 'hex');
    for (const annotation of Object.values(annotations)) marks.add(markOf(Buffer.from(annotation, 'hex')));
    marks.add(markOf(wanted));
    for (const page of decodeIndex(await objects.read(wanted, MAX_INDEX_BYTES)).pages) {
      throwIfAborted(signal);
      const key = page.digest.toString('latin1');
      if (pages.has(key)) continue;
      pages.add(key);
      marks.add(markOf(page.digest));
      for (const entry of decodePage(await objects.read(page.digest, MAX_PAGE_BYTES))) {
        if (entry.type === 'file' && entry.digest !== null) marks.add(markOf(entry.digest));
      }
      step.update((entries += page.entries));
    }
  }
  return { images, marks };
}

/** Maps are small, and lost with the last image that they are of. */
async function sweepDiskMaps(path: string, images: readonly ImageRecord[]): Promise<void> {
  const needed = new Set(images.map(({ digest }) => digest));
  const maps = new LocalDiskMaps(path);
  for (const digest of await maps.imageDigests()) if (!needed.has(digest)) await maps.removeAll(digest);
}

function markOf(digest: Buffer): string {
  return digest.toString('latin1', 0, MARK_BYTES);
}

async function sweep(path: string, marks: ReadonlySet<string>, options: CollectOptions, step: Step) {
  const swept = { keptObjects: 0, keptBytes: 0, removedObjects: 0, removedBytes: 0 };
  for (const shard of SHARDS) {
    const directory = join(path, OBJECTS, shard);
    const removedBefore = swept.removedObjects;
    for (const file of await readdir(directory, { withFileTypes: true })) {
      throwIfAborted(options.signal);
      if (!isObject(file, shard)) continue;
      const { size } = await lstat(join(directory, file.name));
      if (marks.has(markOf(Buffer.from(file.name, 'hex')))) {
        swept.keptObjects++;
        swept.keptBytes += size;
        continue;
      }
      if (!options.dryRun) await unlink(join(directory, file.name));
      swept.removedObjects++;
      swept.removedBytes += size;
      step.update(swept.removedObjects);
    }
    if (!options.dryRun && swept.removedObjects > removedBefore) await syncDirectory(directory);
  }
  return swept;
}
