import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageUnpackerError } from '../../image/error.js';
import type { LockKind } from '../lock.js';
import { waitForLock } from '../lock.js';
import { IMAGES, LOCK_FILE } from './layout.js';

/** Records are changed in a moment; the machine may be slow, and many may wait. */
const RECORDS_MILLISECONDS = 60_000;

/**
 * Locks the store at `location`, waiting for others up to `milliseconds`. Closing what it resolves to gives
 * the lock back. Throws `STORE_BUSY`, and `CANCELLED` when `signal` is aborted.
 */
export async function lockStore(
  location: string,
  kind: LockKind,
  milliseconds: number,
  signal: AbortSignal | undefined,
): Promise<FileHandle> {
  return lockFile(location, LOCK_FILE, kind, milliseconds, signal);
}

/** The same by another file of the store, called `name`. */
export async function lockFile(
  location: string,
  name: string,
  kind: LockKind,
  milliseconds: number,
  signal: AbortSignal | undefined,
): Promise<FileHandle> {
  // A store may be on a file system that is mounted read-only, where it can still be read.
  const how = kind === 'shared' ? constants.O_RDONLY : constants.O_RDWR;
  let file: FileHandle | undefined;
  try {
    file = await open(join(location, name), how | constants.O_NOFOLLOW);
    if (await waitForLock(file.fd, kind, milliseconds, signal)) return file;
  } catch (reason) {
    await file?.close();
    throw ImageUnpackerError.from(reason, `Cannot lock the store ${location}`, { path: location });
  }
  await file.close();
  const others =
    kind === 'shared' ? "'imagetool gc' is deleting from it" : 'others are reading it or building into it';
  const message = `The store ${location} is in use: ${others}; run this again when they are done`;
  throw new ImageUnpackerError('STORE_BUSY', message, { path: location });
}

/** Locks the records of the store at `location` for whoever changes one: images, channels. As `lockStore`. */
export async function lockRecords(location: string, signal: AbortSignal | undefined): Promise<FileHandle> {
  let directory: FileHandle | undefined;
  try {
    directory = await open(join(location, IMAGES), constants.O_RDONLY | constants.O_DIRECTORY);
    if (await waitForLock(directory.fd, 'exclusive', RECORDS_MILLISECONDS, signal)) return directory;
  } catch (reason) {
    await directory?.close();
    throw ImageUnpackerError.from(reason, `Cannot lock the images of the store ${location}`, {
      path: location,
    });
  }
  await directory.close();
  const message = `Others keep changing images of the store ${location}; run this again`;
  throw new ImageUnpackerError('STORE_BUSY', message, { path: location });
}
