import { availableParallelism } from 'node:os';
import type { FileEntry } from '../image/entry.js';
import { dataSizeOf } from '../image/entry.js';
import { ImageUnpackerError } from '../image/error.js';
import type { Operation } from '../image/operation.js';
import { displayPath } from '../image/path.js';
import type { Plan } from '../image/plan.js';
import type { ProgressSink } from '../image/progress.js';
import { isNativeError, runBatch } from '../native.js';
import { packBatch, unpackReports } from './batch.js';
import type { BlockDevice } from './device.js';
import type { Contents } from './generated-objects.js';
import { openGenerated } from './generated-objects.js';
import type { InodeRow } from './known-tree.js';
import { withMount } from './mounted.js';

/** From so much content on, who writes it matters more than where it lies. */
const MANY_BYTES = 256n << 20n;

/** How a plan is carried out. */
export interface PatchOptions {
  /** The directory of the objects that the plan needs, all of them verified. */
  objects: number;
  /** What is in no store. */
  contents: Contents;
  progress: ProgressSink;
  signal?: AbortSignal | undefined;
}

/**
 * Carries out a plan on a volume: mounts it, does all of the operations, makes them durable, and unmounts it.
 * Resolves to the inodes that were touched, in the order of `plan.touched`.
 */
export async function patchVolume(
  device: BlockDevice,
  plan: Plan,
  options: PatchOptions,
): Promise<InodeRow[]> {
  const total = bytesOf(plan.operations);
  const generated = await openGenerated(contentOf(plan.operations), options.contents);
  const step = options.progress.step('Writing the volume', 'bytes', Number(total));
  const onProgress = (_: number, bytes: number): void => {
    step.update(bytes);
  };
  try {
    return await withMount(device, true, async root => {
      const batch = packBatch(plan.operations, plan.touched);
      const watch = { signal: options.signal, onProgress };
      const how = { others: generated.directory, threads: writersFor(total) };
      return unpackReports(await runBatch(root, batch, options.objects, watch, how));
    });
  } catch (reason) {
    throw explained(reason, device);
  } finally {
    step.end();
    await generated.close();
  }
}

/** The files whose content a plan writes. */
export function contentOf(operations: readonly Operation[]): FileEntry[] {
  return operations.flatMap(operation =>
    operation.do === 'make-file' || operation.do === 'rewrite' || operation.do === 'replace'
      ? [operation.entry]
      : [],
  );
}

/** How many bytes of content a plan writes. */
export function bytesOf(operations: readonly Operation[]): bigint {
  return contentOf(operations).reduce((sum, file) => sum + dataSizeOf(file.size, file.holes), 0n);
}

/**
 * How many threads are to write so much content. A first unpack is bound by them; where less is written, the files
 * lie as close together as one writer makes them.
 */
export function writersFor(bytes: bigint): number {
  return bytes < MANY_BYTES ? 0 : availableParallelism();
}

function explained(reason: unknown, device: BlockDevice): ImageUnpackerError {
  const doubtful = 'The volume counts as doubtful now, and the next apply repairs it';
  if (!isNativeError(reason))
    return ImageUnpackerError.from(reason, `Cannot patch ${device.path}`, { device: device.path });
  const path = displayPath(reason.path ?? Buffer.alloc(0));
  const what = `${path}: ${reason.message}${reason.detail === undefined ? '' : ` ${reason.detail}`}`;
  const subject = { device: device.path, path };
  if (reason.code === 'ENOSPC' && reason.syscall !== 'setxattr') {
    return new ImageUnpackerError(
      'NO_SPACE',
      `${device.path} is full: ${what}. ${doubtful}`,
      subject,
      reason,
    );
  }
  if (['setxattr', 'utimensat'].includes(reason.syscall)) {
    const why = `The file system cannot hold ${what}. ${doubtful}`;
    return new ImageUnpackerError('IMAGE_UNSUPPORTED', why, subject, reason);
  }
  const code = reason.code === 'EIO' ? 'DEVICE_FAILED' : 'VOLUME_DAMAGED';
  return new ImageUnpackerError(code, `Cannot patch ${device.path} at ${what}. ${doubtful}`, subject, reason);
}
