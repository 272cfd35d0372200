import { constants, createReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageUnpackerError } from '../../image/error.js';
import type { ImageFile, ImageFiles } from './files.js';
import { imageUnsupported } from './files.js';

const READ_BYTES = 256 << 10;
/** Whoever wrote the layout may have made a pipe, which would be waited for. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/** The files of an OCI image layout that is a directory. */
export function layoutDirectory(directory: string): ImageFiles {
  return { location: directory, find: path => find(directory, path) };
}

async function find(directory: string, path: string): Promise<ImageFile | undefined> {
  const location = join(directory, path);
  const file = await openFile(location);
  if (file === undefined) return undefined;
  try {
    const found = await file.stat();
    if (!found.isFile()) throw imageUnsupported(directory, `${path} is not a file`);
    return { size: found.size, chunks: () => chunksOf(location) };
  } finally {
    await file.close();
  }
}

function chunksOf(location: string): AsyncIterable<Buffer> {
  return createReadStream(location, { highWaterMark: READ_BYTES, flags: 'r' });
}

async function openFile(location: string): Promise<FileHandle | undefined> {
  try {
    return await open(location, OPEN_FLAGS);
  } catch (reason) {
    const { code } = reason as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw ImageUnpackerError.from(reason, `Cannot read ${location}`, { path: location });
  }
}
