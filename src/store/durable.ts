import { constants } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ImageUnpackerError } from '../image/error.js';

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;

/**
 * Replaces a small file, durably: it is the old one or the new one, whenever the machine stops. `PATH.new`
 * beside it is used for that. Throws an error that names the file.
 */
export async function replaceDurably(path: string, content: Buffer | string, mode = 0o644): Promise<void> {
  try {
    await replace(path, content, mode);
  } catch (reason) {
    throw ImageUnpackerError.from(reason, `Cannot write ${path}`, { path });
  }
}

async function replace(path: string, content: Buffer | string, mode: number): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, CREATE, mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } catch (reason) {
    // On a full disk it would take room from whoever tries next.
    await rm(temporary, { force: true });
    throw reason;
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** Makes the names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
