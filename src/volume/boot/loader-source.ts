import { readdir, readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageFiles } from './image-files.js';

/*
 * Where boot loaders come from: the image's own packages, or those of this machine. Of an image they are data only;
 * nothing of it is ever run here.
 */

/** Files of boot loaders. */
export interface LoaderSource {
  /** What it is called where it is told of. */
  readonly name: 'image' | 'unpacker';
  /** The content of a file; undefined when there is none. */
  read(this: void, path: string): Promise<Buffer | undefined>;
  /** The names in a directory; none when there is no such directory. */
  names(this: void, path: string): Promise<string[]>;
}

/** Larger than any boot loader. */
const MAX_LOADER_BYTES = 64 << 20;

/** The image's own boot loaders. */
export function ofImage(files: ImageFiles): LoaderSource {
  return {
    name: 'image',
    read: async path => {
      const file = await files.file(path);
      return file === undefined ? undefined : files.read(file, MAX_LOADER_BYTES);
    },
    names: async path => (await files.names(path)).map(name => name.toString('latin1')),
  };
}

/** The boot loaders of this machine, or of the one whose root is `root`. */
export function ofMachine(root = '/'): LoaderSource {
  const orMissing =
    <T>(missing: T) =>
    (reason: unknown): T => {
      const { code } = reason as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return missing;
      throw reason;
    };
  return {
    name: 'unpacker',
    read: async path =>
      realpath(join(root, path))
        .then(real => readFile(real))
        .catch(orMissing(undefined)),
    names: async path => readdir(join(root, path)).catch(orMissing([])),
  };
}
