import { createHash } from 'node:crypto';
import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import { link, lstat, mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { isHexDigest } from '../../image/digest.js';
import { DAMAGED, objectPath, OBJECTS } from './layout.js';

/*
 * An object that is there and has the right size is relied on when it is to be stored again: to read it would cost
 * as much as to write it. So damage that was found is noted, and removed before anything is stored the next time.
 */

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Whether a file can be read and holds these bytes. */
export function readsAs(path: string, bytes: Buffer): boolean {
  let file: number | undefined;
  try {
    file = openSync(path, READ);
    return readFileSync(file).equals(bytes);
  } catch {
    return false;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Takes note of objects of the store at `location` that are damaged. */
export async function noteDamage(location: string, digests: readonly Buffer[]): Promise<void> {
  await mkdir(join(location, DAMAGED), { recursive: true });
  for (const digest of digests) await writeFile(join(location, DAMAGED, digest.toString('hex')), '');
}

/** Removes the objects of which a note was taken, unless they are good by now. They are moved to `aside` meanwhile. */
export async function removeNoted(location: string, aside: string): Promise<void> {
  for (const name of await notes(location)) {
    if (!isHexDigest(name)) continue;
    const digest = Buffer.from(name, 'hex');
    await removeDamaged(join(location, OBJECTS, objectPath(digest)), digest, aside);
    await rm(join(location, DAMAGED, name), { force: true });
  }
}

async function notes(location: string): Promise<string[]> {
  return readdir(join(location, DAMAGED)).catch((reason: unknown) => {
    if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw reason;
  });
}

/**
 * Removes the object at `path` if it is not what its digest says. Somebody else may store it anew meanwhile: it is
 * moved away first and hashed then, and what is good or cannot be read is put back.
 */
async function removeDamaged(path: string, digest: Buffer, aside: string): Promise<void> {
  try {
    await rename(path, aside);
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw reason;
  }
  const isDamaged = !(await lstat(aside)).isFile() || (await hasOtherDigest(aside, digest));
  if (!isDamaged) await linkUnlessThere(aside, path);
  await rm(aside, { force: true, recursive: true });
}

async function hasOtherDigest(path: string, digest: Buffer): Promise<boolean> {
  try {
    const file = await open(path, READ);
    const hash = createHash('sha512');
    await pipeline(file.createReadStream(), hash);
    return !hash.digest().equals(digest);
  } catch {
    return false;
  }
}

async function linkUnlessThere(from: string, to: string): Promise<void> {
  await link(from, to).catch((reason: unknown) => {
    if ((reason as NodeJS.ErrnoException).code !== 'EEXIST') throw reason;
  });
}
