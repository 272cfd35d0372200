import { closeSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ImageUnpackerError } from '../image/error.js';
import { attachLoop } from '../native.js';
import { syncDirectory } from '../store/durable.js';
import { makeDirectory } from '../store/make-directory.js';
import { missingFile } from './stream-volume.js';
import type { VolumePlace, VolumeSize } from './work.js';

/** Revisions grow, and a file costs only what is written to it: twice the content, and this at the least. */
const LEAST_BYTES = 2n << 30n;
const CONTENT_FACTOR = 2n;
/** Sizes are whole numbers of this, so that a volume ends with a whole block of a snapshot. */
const GRAIN = 1n << 20n;

/**
 * Does `work` with the path of a volume's device. A file is attached to a loop device until the work has ended, or
 * this process has, however. `contentBytes` is what a volume that is made has to hold.
 */
export async function withVolume<T>(
  place: VolumePlace,
  contentBytes: bigint,
  work: (device: string) => Promise<T>,
): Promise<T> {
  if (place.kind === 'device') return work(place.path);
  const file = await openFile(place, contentBytes);
  try {
    const loop = await attachLoop(file.fd, place.path).catch((reason: unknown) => {
      throw ImageUnpackerError.from(reason, `Cannot attach ${place.path} to a loop device`, {
        path: place.path,
      });
    });
    try {
      return await work(loop.path);
    } finally {
      closeSync(loop.fd);
    }
  } finally {
    await file.close();
  }
}

async function openFile(place: VolumePlace & { kind: 'file' }, contentBytes: bigint): Promise<FileHandle> {
  const { path, make, least } = place;
  try {
    const file = await open(path, 'r+');
    if (least !== null) await enlarge(file, least);
    return file;
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw ImageUnpackerError.from(reason, `Cannot open the volume ${path}`, { path });
    }
    if (make !== null) return makeFile(path, sizeOf(make, contentBytes));
    throw missingFile(path);
  }
}

/** What is added costs nothing until it is written to. */
async function enlarge(file: FileHandle, bytes: number): Promise<void> {
  const { size } = await file.stat();
  if (size >= bytes) return;
  await file.truncate(bytes);
  await file.sync();
}

function sizeOf(size: VolumeSize, contentBytes: bigint): bigint {
  if (size.kind === 'fixed') return BigInt(size.bytes);
  const fitting = contentBytes * CONTENT_FACTOR;
  const bytes = fitting > LEAST_BYTES ? fitting : LEAST_BYTES;
  return ((bytes + GRAIN - 1n) / GRAIN) * GRAIN;
}

async function makeFile(path: string, size: bigint): Promise<FileHandle> {
  try {
    await makeDirectory(dirname(path), 0o700);
    const file = await open(path, 'wx+', 0o600);
    try {
      await file.truncate(Number(size));
      await file.sync();
      await syncDirectory(dirname(path));
      return file;
    } catch (reason) {
      await file.close();
      throw reason;
    }
  } catch (reason) {
    throw ImageUnpackerError.from(reason, `Cannot make the volume ${path}`, { path });
  }
}
