import { constants } from 'node:fs';
import { mkdir, open, readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ImageUnpackerError } from '../../image/error.js';
import { FORMAT_FILE, FORMAT_LINE, IMAGES, LOCK_FILE, OBJECTS, SHARDS, TEMPORARY } from './layout.js';
import { replaceDurably, syncDirectory } from '../durable.js';
import { makeDirectory } from '../make-directory.js';

/** What a new file system has in its root directory. */
const OF_FILE_SYSTEM = 'lost+found';
const STORE_WORDS = FORMAT_LINE.slice(0, FORMAT_LINE.lastIndexOf(' '));

/**
 * Whether `location` is a store; if not, it can become one: it does not exist, is empty, or its making was
 * cut short. Throws `STORE_MISSING` when the directory holds something else, and `UNSUPPORTED` for a store of
 * another version.
 */
export async function isStore(location: string): Promise<boolean> {
  const names = await list(location);
  const format = names?.includes(FORMAT_FILE) === true ? await read(location) : undefined;
  if (format === FORMAT_LINE) return names?.includes(LOCK_FILE) === true;
  if (names === undefined || isUnused(names, format)) return false;
  throw foreign(location, format);
}

/** Sees to it that `location` is a store; makes it one if it is asked to. Throws as `isStore`. */
export async function openDirectory(location: string, create: boolean): Promise<void> {
  if (await isStore(location)) return;
  if (!create) throw missing(location);
  try {
    await make(location);
  } catch (reason) {
    throw ImageUnpackerError.from(reason, `Cannot make a store in ${location}`, { path: location });
  }
}

async function list(location: string): Promise<string[] | undefined> {
  try {
    return (await readdir(location)).filter(name => name !== OF_FILE_SYSTEM);
  } catch (reason) {
    const { code } = reason as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    if (code === 'ENOTDIR') throw foreign(location, undefined);
    throw ImageUnpackerError.from(reason, `Cannot read the store ${location}`, { path: location });
  }
}

async function read(location: string): Promise<string> {
  try {
    return await readFile(join(location, FORMAT_FILE), {
      encoding: 'utf8',
      flag: constants.O_RDONLY | constants.O_NOFOLLOW,
    });
  } catch (reason) {
    throw ImageUnpackerError.from(reason, `Cannot read the store ${location}`, { path: location });
  }
}

/** Whether a directory is empty, or holds a store that its maker had barely begun when it was ended. */
function isUnused(names: readonly string[], format: string | undefined): boolean {
  const isBegun = format === undefined || FORMAT_LINE.startsWith(format);
  return isBegun && names.every(name => name === FORMAT_FILE || name === `${FORMAT_FILE}.new`);
}

/** Each step may find that it was done before: the maker of a store may be ended at any time. */
async function make(location: string): Promise<void> {
  await makeDirectory(location);
  await replaceDurably(join(location, FORMAT_FILE), FORMAT_LINE);
  for (const name of [IMAGES, TEMPORARY, OBJECTS]) await mkdir(join(location, name), { recursive: true });
  for (const shard of SHARDS) await mkdir(join(location, OBJECTS, shard), { recursive: true });
  for (const name of [OBJECTS, dirname(OBJECTS)]) await syncDirectory(join(location, name));
  await writeDurably(join(location, LOCK_FILE), '');
  await syncDirectory(location);
  await syncDirectory(dirname(join(location)));
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o644);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

function missing(location: string): ImageUnpackerError {
  const message = `There is no store at ${location}; 'imagetool build' makes one`;
  return new ImageUnpackerError('STORE_MISSING', message, { path: location });
}

function foreign(location: string, format: string | undefined): ImageUnpackerError {
  if (format?.startsWith(STORE_WORDS) === true) {
    const message = `The store ${location} is of a version that is not known here: ${JSON.stringify(format.trim())}`;
    return new ImageUnpackerError('UNSUPPORTED', message, { path: location });
  }
  const message = `${location} is not a store: it holds other things; name a store, or an empty or new directory`;
  return new ImageUnpackerError('STORE_MISSING', message, { path: location });
}
