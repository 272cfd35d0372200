import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ImageUnpackerError } from '../image/error.js';
import { syncDirectory } from '../store/durable.js';
import { waitForLock } from '../store/lock.js';
import { makeDirectory } from '../store/make-directory.js';

/*
 * Where the engine keeps what it knows of volumes.
 *
 *   DIR/lock                            held by the one who works with it
 *   DIR/volumes/UUID/RECORD/state       what is known of a volume that was left clean (volume-record.ts)
 *   DIR/volumes/UUID/RECORD/journal     there while a volume is being patched
 *   DIR/volumes/UUID/RECORD/pages.N     pages of manifests and inode tables, only ever appended to
 *   DIR/volumes/UUID/RECORD/sparse      what is known of zeros in objects (sparse-record.ts)
 *
 * There is more than one RECORD to a UUID when several volumes have it, such as copies.
 */

/** The state directory, locked. */
export class StateDirectory {
  readonly path: string;
  readonly #lock: FileHandle | undefined;

  private constructor(path: string, lock: FileHandle | undefined) {
    this.path = path;
    this.#lock = lock;
  }

  /**
   * Makes the directory if need be and locks it, waiting for another process up to `patience` milliseconds.
   * Throws `STATE_BUSY` when another process has it.
   */
  static async open(path: string, patience = 0): Promise<StateDirectory> {
    try {
      await makeDirectory(join(path, 'volumes'), 0o700);
      const lock = await open(join(path, 'lock'), constants.O_RDWR | constants.O_CREAT, 0o600);
      if (await waitForLock(lock.fd, 'exclusive', patience)) return new StateDirectory(path, lock);
      await lock.close();
    } catch (reason) {
      throw ImageUnpackerError.from(reason, `Cannot use the state directory ${path}`, { path });
    }
    throw new ImageUnpackerError(
      'STATE_BUSY',
      `The state directory ${path} is in use by an agent or another command; stop that, or use another --state-dir`,
      { path },
    );
  }

  /** The directory as a process has it that works for the one who locked it, and has inherited the lock. */
  static inherited(path: string): StateDirectory {
    return new StateDirectory(path, undefined);
  }

  /** The open file that is locked. A process that inherits it holds the lock as well, for as long as it lives. */
  get lock(): number {
    if (this.#lock === undefined)
      throw new ImageUnpackerError('INTERNAL', `${this.path} was not locked here`);
    return this.#lock.fd;
  }

  /** The directories of the records of volumes with that UUID. */
  async recordsOf(uuid: string): Promise<string[]> {
    const parent = join(this.path, 'volumes', uuid);
    return (await namesIn(parent)).sort((a, b) => Number(a) - Number(b)).map(name => join(parent, name));
  }

  /** Makes the directory of a new record. */
  async newRecord(uuid: string): Promise<string> {
    const parent = join(this.path, 'volumes', uuid);
    await makeDirectory(parent, 0o700);
    const taken = new Set(await namesIn(parent));
    let number = 0;
    while (taken.has(String(number))) number++;
    const path = join(parent, String(number));
    await mkdir(path, { mode: 0o700 });
    for (const directory of [path, parent, dirname(parent)]) await syncDirectory(directory);
    return path;
  }

  async close(): Promise<void> {
    await this.#lock?.close();
  }
}

async function namesIn(path: string): Promise<string[]> {
  return readdir(path).catch((reason: unknown) => {
    if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw ImageUnpackerError.from(reason, `Cannot read ${path}`, { path });
  });
}

/** The content of a file, or undefined when there is none. */
export async function readIfThere(path: string): Promise<Buffer | undefined> {
  return readFile(path).catch((reason: unknown) => {
    if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw ImageUnpackerError.from(reason, `Cannot read ${path}`, { path });
  });
}

/** Removes a file or directory for good. */
export async function removeDurably(path: string): Promise<void> {
  await rm(path, { force: true, recursive: true });
  await syncDirectory(dirname(path));
}

/** Whether something failed because what is known of volumes is not as it was written. */
export function isDamagedState(reason: unknown): boolean {
  return reason instanceof ImageUnpackerError && reason.code === 'STATE_DAMAGED';
}
