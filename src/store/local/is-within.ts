import { realpath, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/**
 * Whether `location`, which need not exist, is the directory `directory` or lies in it. Directories are told
 * by device and inode, whatever they are called.
 */
export async function isWithin(location: string, directory: string): Promise<boolean> {
  const wanted = await stat(directory, { bigint: true });
  for (let at = await realpathOfExisting(resolve(location)); ; at = dirname(at)) {
    const { dev, ino } = await stat(at, { bigint: true });
    if (dev === wanted.dev && ino === wanted.ino) return true;
    if (at === dirname(at)) return false;
  }
}

/** Where the part of a path that exists really is. */
async function realpathOfExisting(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code !== 'ENOENT' || path === dirname(path)) throw reason;
    return realpathOfExisting(dirname(path));
  }
}
