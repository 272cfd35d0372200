import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a directory, and those above it that are missing, unless it is there. Throws the system's error. Node's own
 * way hides why a directory cannot be made (EROFS is ENOENT there), and never ends where the system says of a
 * directory that it is not there although what is above it is, as below /proc.
 */
export async function makeDirectory(path: string, mode = 0o777): Promise<void> {
  try {
    await mkdir(path, mode);
  } catch (reason) {
    const { code } = reason as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return;
    if (code !== 'ENOENT' || dirname(path) === path) throw reason;
    await makeDirectory(dirname(path), mode);
    // Somebody else may have made it meanwhile.
    await mkdir(path, mode).catch((again: unknown) => {
      if ((again as NodeJS.ErrnoException).code !== 'EEXIST') throw again;
    });
  }
}
