import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { tryLock } from '../lock.js';
import { TEMPORARY } from './layout.js';

/** The directory of one process for what it has not finished. It is the process's as long as it holds the lock. */
export interface Session {
  readonly path: string;
  readonly directory: FileHandle;
  /** Removes the directory and all in it. */
  end(): Promise<void>;
}

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Begins a session in the store at `location`, and clears away those whose processes are gone. */
export async function beginSession(location: string): Promise<Session> {
  for (;;) {
    const path = join(location, TEMPORARY, randomBytes(8).toString('hex'));
    await mkdir(path, { mode: 0o700 });
    const directory = await open(path, DIRECTORY);
    if (!(await isOurs(path, directory))) {
      await directory.close();
      continue;
    }
    await clearSessions(location);
    return { path, directory, end: () => endSession(path, directory) };
  }
}

/** Another process that clears away may have taken the directory before it was locked here. */
async function isOurs(path: string, directory: FileHandle): Promise<boolean> {
  if (!(await tryLock(directory.fd, 'exclusive'))) return false;
  try {
    return (await stat(path)).ino === (await directory.stat()).ino;
  } catch {
    return false;
  }
}

/** Removes what dead processes have left; what a living one holds stays. */
export async function clearSessions(location: string): Promise<void> {
  for (const name of await readdir(join(location, TEMPORARY))) {
    const path = join(location, TEMPORARY, name);
    let directory: FileHandle;
    try {
      directory = await open(path, DIRECTORY);
    } catch (reason) {
      // Gone already, or nothing that a process of ours has made.
      if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes((reason as NodeJS.ErrnoException).code ?? '')) continue;
      throw reason;
    }
    try {
      if (await tryLock(directory.fd, 'exclusive')) await rm(path, { recursive: true, force: true });
    } finally {
      await directory.close();
    }
  }
}

async function endSession(path: string, directory: FileHandle): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } finally {
    await directory.close();
  }
}
