import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeCondemned, encodeMarks, markOf } from '../condemned-list.js';
import { ImageUnpackerError } from '../../image/error.js';
import { tryLock, waitForLock } from '../lock.js';
import { CONDEMNED, FORMAT_FILE, LEASES } from './layout.js';
import { lockFile, lockStore } from './lock-store.js';

/*
 * How objects that somebody needs are kept from being deleted while the store is in use. The locks go with their process,
 * so that there is no clock in it.
 *
 * Who reads or stores holds a lease: a file that he keeps locked, which names the condemned lists that he knows. Who
 * collects writes down what is to be deleted (a condemned list), and deletes nothing of it while there is a lease that does not
 * name the list: its holder may have found the object before. Whoever does know it, and needs an object on it, writes that
 * down (rescued) while the list is locked shared, before he looks whether the object is there. Who deletes has the list
 * locked exclusively, and leaves what is rescued or needed by an image by then; afterwards the list is gone.
 *
 *   lease      = *( list LF )
 *
 * Who may not write to the store has no lease, but a lock (`format`), and while he has it nothing is deleted.
 */

const CREATE = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const APPEND = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;
const READ = constants.O_RDONLY | constants.O_NOFOLLOW;
/** As long as the objects of a large list take to be deleted. */
const DELETION_MILLISECONDS = 10 * 60_000;
/** Where these come from, the store can be read, but there can be no lease in it. */
const NO_LEASE = new Set(['EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT']);

/** What a list is called; what else lies beside it is none. */
export function isListName(name: string): boolean {
  return /^[0-9a-f]{24}$/.test(name);
}

/** The names of the condemned lists of a store, sorted. */
export async function listCondemned(store: string): Promise<string[]> {
  const names = await readdir(join(store, CONDEMNED)).catch(noneIfMissing);
  return names.filter(isListName).sort();
}

/** Keeps the objects that somebody reads, finds or stores from being deleted, until it is ended. */
export class LocalLease {
  readonly #store: string;
  readonly #signal: AbortSignal | undefined;
  readonly #condemned: ReadonlyMap<string, Set<string>>;
  readonly #file: FileHandle;
  readonly #path: string | undefined;
  readonly #lock: FileHandle;

  private constructor(
    store: string,
    signal: AbortSignal | undefined,
    { lock, file, path, condemned }: LeaseParts,
  ) {
    this.#lock = lock;
    this.#store = store;
    this.#signal = signal;
    this.#file = file;
    this.#path = path;
    this.#condemned = condemned;
  }

  /** Begins it. Throws `STORE_BUSY` where only a lock can be had, and somebody deletes; `CANCELLED`. */
  static async begin(store: string, signal: AbortSignal | undefined): Promise<LocalLease> {
    const lock = await lockStore(store, 'shared', DELETION_MILLISECONDS, signal);
    try {
      return new LocalLease(store, signal, { lock, ...(await begin(store, signal)) });
    } catch (reason) {
      await lock.close();
      throw ImageUnpackerError.from(reason, `Cannot use the store ${store}`, { path: store });
    }
  }

  /**
   * Keeps objects from being deleted that are condemned. Only afterwards is it to be looked whether they are there: some may
   * have been deleted just then. Resolves to whether any of them was condemned. Throws `STORE_BUSY`, `CANCELLED`.
   */
  async rescue(digests: readonly Buffer[]): Promise<boolean> {
    let wereCondemned = false;
    for (const [list, condemned] of this.#condemned) {
      const marks = [...new Set(digests.map(markOf))].filter(mark => condemned.has(mark));
      if (marks.length === 0) continue;
      wereCondemned = true;
      await this.#rescueFrom(list, marks);
      for (const mark of marks) condemned.delete(mark);
    }
    return wereCondemned;
  }

  /** Whether nothing of what there is has been condemned: then there is nothing to rescue. */
  get knowsNone(): boolean {
    return this.#condemned.size === 0;
  }

  async end(): Promise<void> {
    try {
      if (this.#path === undefined) await this.#file.close();
      else await endLease({ file: this.#file, path: this.#path });
    } finally {
      await this.#lock.close();
    }
  }

  async #rescueFrom(list: string, marks: readonly string[]): Promise<void> {
    const path = join(this.#store, CONDEMNED, list);
    const file = await open(path, READ).catch((reason: unknown) => {
      if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw reason;
    });
    // It is dealt with: what is there now stays.
    if (file === undefined) return;
    try {
      if (!(await waitForLock(file.fd, 'shared', DELETION_MILLISECONDS, this.#signal)))
        throw busy(this.#store);
      if (!(await isAt(path, file))) return;
      const rescued = await open(`${path}.rescued`, APPEND, 0o644);
      try {
        await rescued.writeFile(encodeMarks(marks));
      } finally {
        await rescued.close();
      }
    } finally {
      await file.close();
    }
  }
}

interface LeaseParts {
  /** Held by everybody who uses the store. */
  lock: FileHandle;
  file: FileHandle;
  /** Where the lease lies; undefined if there is none but a lock. */
  path: string | undefined;
  condemned: Map<string, Set<string>>;
}

async function begin(store: string, signal: AbortSignal | undefined): Promise<Omit<LeaseParts, 'lock'>> {
  let made: { file: FileHandle; path: string };
  try {
    made = await makeLease(store);
  } catch (reason) {
    if (!NO_LEASE.has((reason as NodeJS.ErrnoException).code ?? '')) throw reason;
    const file = await lockFile(store, FORMAT_FILE, 'shared', DELETION_MILLISECONDS, signal);
    return { file, path: undefined, condemned: new Map() };
  }
  try {
    return { ...made, condemned: await learnAll(store, made.file) };
  } catch (reason) {
    await endLease(made);
    throw reason;
  }
}

async function makeLease(store: string): Promise<{ file: FileHandle; path: string }> {
  await mkdir(join(store, LEASES), { recursive: true });
  for (;;) {
    const path = join(store, LEASES, randomBytes(12).toString('hex'));
    const file = await open(path, CREATE, 0o644);
    try {
      // Who collects may take a lease that is not locked yet for that of a dead process.
      if ((await tryLock(file.fd, 'exclusive')) && (await isAt(path, file))) return { file, path };
      await file.close();
    } catch (reason) {
      await endLease({ file, path });
      throw reason;
    }
  }
}

async function endLease({ file, path }: { file: FileHandle; path: string }): Promise<void> {
  await rm(path, { force: true });
  await file.close();
}

/** Learns of all condemned lists, and says so in the lease. */
async function learnAll(store: string, lease: FileHandle): Promise<Map<string, Set<string>>> {
  const condemned = new Map<string, Set<string>>();
  for (;;) {
    // What was written before the lease could be seen must be known of.
    const unknown = (await listCondemned(store)).filter(list => !condemned.has(list));
    if (unknown.length === 0) return condemned;
    for (const list of unknown) condemned.set(list, await readCondemned(store, list));
    await lease.writeFile(unknown.map(list => `${list}\n`).join(''));
  }
}

/** The marks of a list. One that is gone, or damaged, has none: nothing is deleted for it. */
export async function readCondemned(store: string, list: string): Promise<Set<string>> {
  const bytes = await readFile(join(store, CONDEMNED, list), { flag: READ }).catch((reason: unknown) => {
    if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw reason;
  });
  return decodeCondemned(bytes) ?? new Set();
}

/** Whether there is a lease whose holder does not know of the list. Those of dead processes are removed. */
export async function isHeld(store: string, list: string): Promise<boolean> {
  for (const name of await readdir(join(store, LEASES)).catch(noneIfMissing)) {
    const path = join(store, LEASES, name);
    const file = await open(path, READ).catch((reason: unknown) => {
      if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw reason;
    });
    if (file === undefined) continue;
    try {
      if (await tryLock(file.fd, 'exclusive')) await rm(path, { force: true });
      else if (!(await file.readFile('utf8')).split('\n').includes(list)) return true;
    } finally {
      await file.close();
    }
  }
  return false;
}

/** Whether the open file is still the one at `path`. */
async function isAt(path: string, file: FileHandle): Promise<boolean> {
  const [there, ours] = [await stat(path).catch(() => undefined), await file.stat()];
  return there?.ino === ours.ino;
}

function noneIfMissing(reason: unknown): string[] {
  if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return [];
  throw reason;
}

function busy(store: string): ImageUnpackerError {
  const message = `Somebody deletes objects of the store ${store} that are needed again; run this again when 'imagetool gc' is done`;
  return new ImageUnpackerError('STORE_BUSY', message, { path: store });
}
