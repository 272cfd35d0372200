import { createHash, randomBytes } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageUnpackerError } from '../../image/error.js';
import { CHANNELS, DELETED, DISK_MAPS, IMAGES } from './layout.js';

/**
 * The clock of files goes in steps of up to ten milliseconds. A directory that was written to just now may be written to
 * again with the same time.
 */
const UNSETTLED_NANOSECONDS = 100_000_000n;

/**
 * What is another text whenever a name is made, replaced or removed: every one of these changes the mtime of its
 * directory. So nothing has to be written down of it, and nothing can be forgotten in a crash.
 */
export async function revisionOf(location: string, now: () => number = Date.now): Promise<string> {
  const hash = createHash('sha256');
  const settled = BigInt(now()) * 1_000_000n - UNSETTLED_NANOSECONDS;
  for (const waiting = [IMAGES, CHANNELS, DELETED, DISK_MAPS]; waiting.length > 0;) {
    const within = waiting.shift()!;
    const path = join(location, within);
    try {
      const { ino, mtimeNs } = await lstat(path, { bigint: true });
      hash.update(`${within} ${String(ino)} ${String(mtimeNs)}\n`);
      if (mtimeNs > settled) hash.update(randomBytes(16));
      for (const entry of await directories(path)) waiting.push(`${within}/${entry.name}`);
    } catch (reason) {
      if ((reason as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw ImageUnpackerError.from(reason, `Cannot read the store ${location}`, { path: location });
    }
  }
  return hash.digest('hex');
}

async function directories(path: string): Promise<Dirent[]> {
  return (await readdir(path, { withFileTypes: true })).filter(entry => entry.isDirectory());
}
