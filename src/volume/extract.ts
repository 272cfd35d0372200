import { mkdir, open, readdir, rmdir } from 'node:fs/promises';
import { ImageUnpackerError } from '../image/error.js';
import { LOST_AND_FOUND } from '../image/ext4-limits.js';
import { moveDirectories } from '../image/directory-moves.js';
import { matchInodes } from '../image/inode-match.js';
import { planChanges } from '../image/plan.js';
import type { Plan } from '../image/plan.js';
import { displayPath } from '../image/path.js';
import type { ProgressSink } from '../image/progress.js';
import { isNativeError, runBatch, syncFileSystem } from '../native.js';
import { ManifestReader } from '../store/manifest-reader.js';
import type { ImageRecord, Store } from '../store/store.js';
import { packBatch } from './batch.js';
import { noTree } from './current-tree.js';
import { differenceOf } from './difference.js';
import { fetchContent } from './fetch-content.js';
import { bytesOf, contentOf, writersFor } from './patch-volume.js';
import { removeTree } from './remove-tree.js';

/** What to extract, and where to. */
export interface ExtractRequest {
  store: Store;
  image: ImageRecord;
  /** Is made if it is not there; else it must be empty. */
  directory: string;
  progress: ProgressSink;
  signal?: AbortSignal | undefined;
}

/** What was extracted. */
export interface ExtractResult {
  name: string;
  digest: string;
  directory: string;
  entries: number;
  bytes: bigint;
}

/**
 * Makes the tree of an image in a directory, exactly. Takes root, for owners and devices. When it fails or is
 * interrupted, the directory is left as it was found. Throws `OUTPUT`, `NOT_ROOT`, `STORE_DAMAGED`, `NO_SPACE`.
 */
export async function extractImage(request: ExtractRequest): Promise<ExtractResult> {
  const { store, image, directory } = request;
  if (process.geteuid?.() !== 0) {
    throw new ImageUnpackerError(
      'NOT_ROOT',
      'Extracting an image takes root, for owners and devices; run it as root',
    );
  }
  const manifest = await ManifestReader.open(store, Buffer.from(image.digest, 'hex'));
  const difference = await differenceOf((await noTree()).tree.manifest, manifest, request);
  const options = { staging: Buffer.alloc(0), stageFrom: Infinity, rewrites: new Map() };
  const moved = moveDirectories(difference);
  const plan = planChanges(moved, matchInodes(moved.changes, new Map()), options);
  const objects = await fetchContent(store, contentOf(plan.operations), request);
  try {
    await write(request, plan, objects.directory);
  } finally {
    await objects.close();
  }
  const { entries, bytes } = manifest.index;
  return { name: image.name, digest: image.digest, directory, entries, bytes };
}

async function write(request: ExtractRequest, plan: Plan, objects: number): Promise<void> {
  const { directory, progress, signal } = request;
  const made = await makeEmpty(directory);
  const total = bytesOf(plan.operations);
  const step = progress.step('Extracting', 'bytes', Number(total));
  const onProgress = (_: number, bytes: number): void => {
    step.update(bytes);
  };
  const root = await open(directory, 'r');
  try {
    const watch = { signal, onProgress };
    await runBatch(root.fd, packBatch(plan.operations, []), objects, watch, { threads: writersFor(total) });
    await syncFileSystem(root.fd);
  } catch (reason) {
    await removeTree(root.fd);
    if (made) await rmdir(directory);
    throw explained(reason, directory);
  } finally {
    step.end();
    await root.close();
  }
}

/** Makes sure of an empty directory; resolves to whether it was made. */
async function makeEmpty(path: string): Promise<boolean> {
  try {
    const names = await readdir(path).catch((reason: unknown) => {
      if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw reason;
    });
    if (names === undefined) await mkdir(path, { mode: 0o700 });
    if (names === undefined || names.every(name => name === LOST_AND_FOUND.toString()))
      return names === undefined;
  } catch (reason) {
    const { message } = reason as Error;
    throw new ImageUnpackerError('OUTPUT', `Cannot extract to ${path}: ${message}`, { path }, reason);
  }
  throw new ImageUnpackerError('OUTPUT', `Cannot extract to ${path}: it is not empty; name a new directory`, {
    path,
  });
}

function explained(reason: unknown, directory: string): ImageUnpackerError {
  if (!isNativeError(reason)) return ImageUnpackerError.from(reason, `Cannot extract to ${directory}`);
  const path = displayPath(reason.path ?? Buffer.alloc(0));
  const code = reason.code === 'ENOSPC' ? 'NO_SPACE' : 'OUTPUT';
  const detail = reason.detail === undefined ? '' : ` ${reason.detail}`;
  const message = `Cannot extract to ${directory} at ${path}: ${reason.message}${detail}`;
  return new ImageUnpackerError(code, message, { path }, reason);
}
