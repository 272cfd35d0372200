import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { lstat, open, readdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ImageUnpackerError, throwIfAborted } from '../../image/error.js';
import type { Step } from '../../image/progress.js';
import type { Collection, CollectOptions } from '../collection.js';
import { decodeMarks, encodeCondemned, markOf } from '../condemned-list.js';
import { syncDirectory } from '../durable.js';
import { tryLock, waitForLock } from '../lock.js';
import { makeDirectory } from '../make-directory.js';
import { LocalDiskMaps } from './disk-maps.js';
import { LocalImages } from './images.js';
import { CONDEMNED, FORMAT_FILE, isObject, OBJECTS, SHARDS } from './layout.js';
import { isHeld, listCondemned, readCondemned } from './lease.js';
import { lockRecords } from './lock-store.js';
import { Marks } from './marks.js';
import { openDirectory } from './open-directory.js';
import { clearSessions } from './session.js';

/** Who uses the store may be about to end: that is waited for so long. */
const HOLD_MILLISECONDS = 10_000;
const POLL_MILLISECONDS = 100;
/** A list has no more objects. */
const LISTED_AT_MOST = 1_000_000;

/**
 * Deletes the objects that no image of the store needs, while others use it (lease.ts): what they may be using is written
 * down and deleted by a later collection. Nothing is deleted when a record, an index or a page is damaged: what it needs
 * is not known then. Throws `STORE_DAMAGED`, `STORE_BUSY` while somebody else collects, `STORE_MISSING`.
 */
export async function collect(location: string, options: CollectOptions): Promise<Collection> {
  const path = resolve(location);
  await openDirectory(path, false);
  if (options.dryRun) return failing(location, () => count(path, options));
  const turn = await takeTurn(path, options.signal);
  try {
    return await failing(location, () => collectInTurn(path, options));
  } finally {
    await turn.close();
  }
}

async function failing<T>(location: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (reason) {
    throw ImageUnpackerError.from(reason, `Cannot collect the store ${location}`, { path: location });
  }
}

/** One collects at a time. */
async function takeTurn(path: string, signal: AbortSignal | undefined): Promise<FileHandle> {
  let turn: FileHandle | undefined;
  try {
    await makeDirectory(join(path, CONDEMNED));
    turn = await open(join(path, CONDEMNED), constants.O_RDONLY | constants.O_DIRECTORY);
    if (await waitForLock(turn.fd, 'exclusive', HOLD_MILLISECONDS, signal)) return turn;
  } catch (reason) {
    await turn?.close();
    throw ImageUnpackerError.from(reason, `Cannot collect the store ${path}`, { path });
  }
  await turn.close();
  const message = `Somebody else collects the store ${path}; run this again when that is done`;
  throw new ImageUnpackerError('STORE_BUSY', message, { path });
}

/** What a collection would delete if nobody used the store. */
async function count(path: string, options: CollectOptions): Promise<Collection> {
  const marks = new Marks(path, options.signal);
  await during(options.progress.step('Finding what is needed', 'entries'), step => marks.update(step));
  const { kept, unneeded } = await survey(path, marks, options.signal);
  const removed = { removedObjects: unneeded.size, removedBytes: sum(unneeded.values()) };
  return { images: marks.images, ...kept, ...removed, heldObjects: 0, heldBytes: 0 };
}

async function collectInTurn(path: string, options: CollectOptions): Promise<Collection> {
  const { progress, signal } = options;
  const marks = new Marks(path, signal);
  await during(progress.step('Finding what is needed', 'entries'), step => marks.update(step));
  await clearSessions(path);
  await sweepDiskMaps(path, signal);
  const { kept, unneeded } = await survey(path, marks, signal);
  await clearLeavings(path);
  await condemn(path, unneeded);
  const removed = { removedObjects: 0, removedBytes: 0 };
  await during(progress.step('Deleting what is not', 'files'), async step => {
    const deadline = performance.now() + HOLD_MILLISECONDS;
    for (const list of await listCondemned(path)) {
      if (!(await isFree(path, list, deadline, signal))) continue;
      await finish(path, list, marks, step, size => {
        removed.removedObjects++;
        removed.removedBytes += size;
        step.update(removed.removedObjects);
      });
    }
  });
  const held = { heldObjects: unneeded.size, heldBytes: sum(unneeded.values()) };
  return {
    images: marks.images,
    ...kept,
    ...removed,
    heldObjects: Math.max(held.heldObjects - removed.removedObjects, 0),
    heldBytes: Math.max(held.heldBytes - removed.removedBytes, 0),
  };
}

/** Whether nobody uses the store who does not know of a list; until `deadline` it is waited for that. */
async function isFree(
  path: string,
  list: string,
  deadline: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  while (await isHeld(path, list)) {
    throwIfAborted(signal);
    if (performance.now() >= deadline) return false;
    await setTimeout(POLL_MILLISECONDS);
  }
  return true;
}

/** Removes what earlier collections have not finished writing, or of which the list is gone. */
async function clearLeavings(path: string): Promise<void> {
  const lists = new Set((await listCondemned(path)).flatMap(list => [list, `${list}.rescued`]));
  for (const name of await readdir(join(path, CONDEMNED)))
    if (!lists.has(name)) await rm(join(path, CONDEMNED, name), { force: true });
}

/** Writes down what is to be deleted, where that does not stand already. */
async function condemn(path: string, unneeded: ReadonlyMap<string, number>): Promise<void> {
  const before = new Set<string>();
  for (const list of await listCondemned(path))
    for (const mark of await readCondemned(path, list)) before.add(mark);
  const fresh = [...unneeded.keys()]
    .map(hex => markOf(Buffer.from(hex, 'hex')))
    .filter(mark => !before.has(mark));
  for (let at = 0; at < fresh.length; at += LISTED_AT_MOST) {
    const list = join(path, CONDEMNED, randomBytes(12).toString('hex'));
    await writeFile(`${list}.new`, encodeCondemned(fresh.slice(at, at + LISTED_AT_MOST)));
    await rename(`${list}.new`, list);
  }
}

/** Deletes what a list has and nobody needs, and the list. */
async function finish(
  path: string,
  list: string,
  marks: Marks,
  step: Step,
  removed: (size: number) => void,
): Promise<void> {
  const file = join(path, CONDEMNED, list);
  const [others, lock] = [await tryLockFile(join(path, FORMAT_FILE)), await tryLockFile(file)];
  try {
    // Somebody has no lease, or writes down just now what he needs: the next collection will do.
    if (others === undefined || lock === undefined) return;
    const doomed = await readCondemned(path, list);
    const rescued = await readFile(`${file}.rescued`).catch(() => Buffer.alloc(0));
    for (const mark of decodeMarks(rescued)) doomed.delete(mark);
    // Those who held it may have made images meanwhile.
    await marks.update(step);
    for (const shard of SHARDS) {
      const directory = join(path, OBJECTS, shard);
      let isChanged = false;
      for (const object of await readdir(directory, { withFileTypes: true })) {
        if (!isObject(object, shard)) continue;
        const mark = markOf(Buffer.from(object.name, 'hex'));
        if (!doomed.has(mark) || marks.has(mark)) continue;
        const { size } = await lstat(join(directory, object.name));
        await unlink(join(directory, object.name));
        isChanged = true;
        removed(size);
      }
      if (isChanged) await syncDirectory(directory);
    }
    await rm(file, { force: true });
    await rm(`${file}.rescued`, { force: true });
  } finally {
    await lock?.close();
    await others?.close();
  }
}

/** Locks a file if nobody has it locked. */
async function tryLockFile(path: string): Promise<FileHandle | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  if (await tryLock(file.fd, 'exclusive')) return file;
  await file.close();
  return undefined;
}

/** Maps are small, and lost with the last image that they are of. No image is made meanwhile. */
async function sweepDiskMaps(path: string, signal: AbortSignal | undefined): Promise<void> {
  const lock = await lockRecords(path, signal);
  try {
    const needed = new Set((await new LocalImages(path).list()).map(({ digest }) => digest));
    const maps = new LocalDiskMaps(path);
    for (const digest of await maps.imageDigests()) if (!needed.has(digest)) await maps.removeAll(digest);
  } finally {
    await lock.close();
  }
}

/** What is needed, and the others with their sizes, by their digests in hex. */
async function survey(path: string, marks: Marks, signal: AbortSignal | undefined) {
  const kept = { keptObjects: 0, keptBytes: 0 };
  const unneeded = new Map<string, number>();
  for (const shard of SHARDS) {
    const directory = join(path, OBJECTS, shard);
    for (const file of await readdir(directory, { withFileTypes: true })) {
      throwIfAborted(signal);
      if (!isObject(file, shard)) continue;
      const { size } = await lstat(join(directory, file.name));
      if (marks.has(markOf(Buffer.from(file.name, 'hex')))) {
        kept.keptObjects++;
        kept.keptBytes += size;
      } else {
        unneeded.set(file.name, size);
      }
    }
  }
  return { kept, unneeded };
}

function sum(sizes: Iterable<number>): number {
  let all = 0;
  for (const size of sizes) all += size;
  return all;
}

async function during(step: Step, work: (step: Step) => Promise<void>): Promise<void> {
  try {
    await work(step);
  } finally {
    step.end();
  }
}
