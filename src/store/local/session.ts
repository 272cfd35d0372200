import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageUnpackerError } from '../../image/error.js';
import { syncFileSystem } from '../../native.js';
import { replaceDurably, syncDirectory } from '../durable.js';
import { tryLock, waitForLock } from '../lock.js';
import { TEMPORARY } from './layout.js';
import { noteDamageSince } from './note-damage-since.js';

/** The directory of one process for what it has not finished. It is the process's as long as it holds the lock. */
export interface Session {
  readonly path: string;
  readonly directory: FileHandle;
  /** Whether objects were stored that are not known to be durable. */
  unsynced: boolean;
  /** Makes durable what is not, and removes the directory and all in it. */
  end(): Promise<void>;
}

/** In each session's directory: it was last written to when the session began. */
const BEGAN = 'began';
/** As long as the objects of a large store take to be read. */
const TURN_MILLISECONDS = 10 * 60_000;

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Begins a session in the store at `location`, and clears away those whose processes are gone. That it has begun is
 * durable before anything is stored.
 */
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
    await replaceDurably(join(path, BEGAN), '');
    await syncDirectory(join(location, TEMPORARY));
    const session: Session = { path, directory, unsynced: false, end: () => endSession(session) };
    return session;
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

/**
 * Removes what dead processes have left; what a living one holds stays. A machine that stopped may have lost the
 * content of objects whose names it has kept: what was stored since a session began that never ended is read, and a
 * note is taken of what is damaged.
 */
export async function clearSessions(location: string): Promise<void> {
  const turn = await takeTurn(location);
  try {
    const dead = await deadSessions(location);
    try {
      const began = (await Promise.all(dead.map(({ path }) => whenBegan(path)))).filter(
        time => time !== undefined,
      );
      if (began.length > 0) await noteDamageSince(location, Math.min(...began));
      for (const { path } of dead) await rm(path, { recursive: true, force: true });
    } finally {
      for (const { directory } of dead) await directory.close();
    }
  } finally {
    await turn.close();
  }
}

/** Who clears away is waited for: before that it is not known what can be relied on. */
async function takeTurn(location: string): Promise<FileHandle> {
  const turn = await open(join(location, TEMPORARY), DIRECTORY);
  try {
    if (await waitForLock(turn.fd, 'exclusive', TURN_MILLISECONDS)) return turn;
    const message = `Another process reads what an interrupted one has left in the store ${location}; run this again when it is done`;
    throw new ImageUnpackerError('STORE_BUSY', message, { path: location });
  } catch (reason) {
    await turn.close();
    throw reason;
  }
}

/** The sessions of dead processes, locked. */
async function deadSessions(location: string): Promise<{ path: string; directory: FileHandle }[]> {
  const dead: { path: string; directory: FileHandle }[] = [];
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
    if (await tryLock(directory.fd, 'exclusive')) dead.push({ path, directory });
    else await directory.close();
  }
  return dead;
}

/** When a session began, in milliseconds since 1970; undefined where it had not yet. */
async function whenBegan(path: string): Promise<number | undefined> {
  return stat(join(path, BEGAN)).then(
    ({ mtimeMs }) => mtimeMs,
    (reason: unknown) => {
      if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw reason;
    },
  );
}

async function endSession({ path, directory, unsynced }: Session): Promise<void> {
  try {
    if (unsynced) await syncFileSystem(directory.fd);
    await rm(path, { recursive: true, force: true });
  } finally {
    await directory.close();
  }
}
