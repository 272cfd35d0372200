import { chmod, chown, lstat, open, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { throwIfAborted } from '../../src/image/error.js';
import { runCommand } from '../run-command.js';
import type { Random } from './random.js';

/** Larger files than these are changed in the middle only. */
const REPLACED_BYTES = 8 << 20;

export interface Update {
  /** The part of the content that becomes new. */
  part: number;
  /** How many neighbours change together: those of a package do. */
  together: number;
  /** What is changed has this mtime, in seconds since 1970. */
  time: number;
  random: Random;
  signal: AbortSignal;
}

/** Updates a tree as a distribution does: most files are replaced; some are added, removed, or not replaced. */
export async function updateTree(root: string, update: Update): Promise<void> {
  const began = Date.now() / 1000;
  const files = await listFiles(root);
  const sizes = await Promise.all(files.map(async path => (await lstat(path)).size));
  let left = sizes.reduce((sum, size) => sum + size, 0) * update.part;
  while (left > 0 && files.length > 0) {
    throwIfAborted(update.signal);
    for (const path of files.splice(update.random.below(files.length), update.together)) {
      left -= await updateFile(path, update);
    }
  }
  await settleTimes(root, began, update.time);
}

async function listFiles(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true });
  const files = entries.filter(entry => entry.isFile());
  return files.map(entry => join(entry.parentPath, entry.name)).sort();
}

/** Changes a file in some way. Returns how many bytes are new. */
async function updateFile(path: string, { random, time }: Update): Promise<number> {
  const { size, mode, uid, gid } = await lstat(path);
  const kind = random.below(10);
  if (kind === 0) await rm(path);
  else if (kind === 1) await chmod(path, mode ^ 0o040);
  else if (kind === 2) await utimes(path, time, time);
  if (kind < 3) return 0;
  if (size > REPLACED_BYTES) return overwrite(path, random.bytes(size >> 3), size >> 1);
  const content = random.bytes(size + random.below(1000));
  const isAdded = kind === 3;
  const made = isAdded ? `${path}.new` : `${path}~`;
  await writeFile(made, content);
  await chown(made, uid, gid);
  await chmod(made, mode);
  if (!isAdded) await rename(made, path);
  return content.length;
}

async function overwrite(path: string, content: Buffer, offset: number): Promise<number> {
  const file = await open(path, 'r+');
  try {
    return (await file.write(content, 0, content.length, offset)).bytesWritten;
  } finally {
    await file.close();
  }
}

/** Gives whatever of a tree has changed after `since` the mtime `time` (in seconds since 1970). */
export async function settleTimes(root: string, since: number, time: number): Promise<void> {
  const touch = ['touch', '--no-dereference', `--date=@${String(time)}`, '{}', '+'];
  await runCommand(['find', root, '-newermt', `@${String(since)}`, '-exec', ...touch]);
}
