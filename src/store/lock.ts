import { createRequire } from 'node:module';
import { setTimeout } from 'node:timers/promises';
import { throwIfAborted } from '../image/error.js';

/*
 * Locks of whole files between processes (flock(2)): they belong to an open descriptor, and go with it
 * however its process ends.
 */

interface FsExt {
  flock(
    fd: number,
    how: 'shnb' | 'exnb',
    done: (error: NodeJS.ErrnoException | null | undefined) => void,
  ): void;
}

const fsExt = createRequire(import.meta.url)('fs-ext') as FsExt;

/** Many may hold a file shared at once; one alone holds it exclusive. */
export type LockKind = 'shared' | 'exclusive';

/** Asking again this often is not felt, by people or by the machine. */
const RETRY_MILLISECONDS = 50;

/** Locks the open file if nobody holds it otherwise; resolves to whether it did. */
export async function tryLock(fd: number, kind: LockKind): Promise<boolean> {
  return new Promise((resolve, reject) => {
    fsExt.flock(fd, kind === 'shared' ? 'shnb' : 'exnb', error => {
      if (error === null || error === undefined) resolve(true);
      else if (error.code === 'EAGAIN' || error.code === 'EWOULDBLOCK') resolve(false);
      else reject(error);
    });
  });
}

/**
 * Locks the open file, waiting for others up to `milliseconds`; resolves to whether it did. Throws
 * `CANCELLED` when `signal` is aborted.
 */
export async function waitForLock(
  fd: number,
  kind: LockKind,
  milliseconds: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const deadline = performance.now() + milliseconds;
  for (;;) {
    throwIfAborted(signal);
    if (await tryLock(fd, kind)) return true;
    if (performance.now() >= deadline) return false;
    await setTimeout(RETRY_MILLISECONDS);
  }
}
