import type { Stats } from 'node:fs';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { ImageUnpackerError } from '../image/error.js';
import type { DirectoryOptions } from './directory.js';
import { DEFAULT_LIMITS } from '../image/settable-limits.js';
import { readDirectory } from './directory.js';
import type { Platform } from './oci/platform.js';
import { hostPlatform } from './oci/platform.js';
import { parseImageSource, readImage } from './oci/read-image.js';
import type { ObjectSink } from './sink.js';
import { tarSource } from './tar/source.js';
import type { Tree } from './tree.js';
import { readTree } from './tree.js';

export interface ReadSourceOptions extends DirectoryOptions {
  /** What the source `-` is. */
  standardInput: AsyncIterable<Buffer>;
  /** Which image of a container image for several platforms is read; default: this machine's. */
  platform?: Platform | undefined;
}

const READ_BYTES = 256 << 10;
const STANDARD_INPUT = '-';

/**
 * Reads the content that a user calls `location` into a tree, and its data into `sink`: a directory, a tar
 * file, `-`, or a container image (oci/read-image.ts). Throws `SOURCE_*`.
 */
export async function readSource(
  location: string,
  sink: ObjectSink,
  options: ReadSourceOptions,
): Promise<Tree> {
  const image = parseImageSource(location);
  if (image !== undefined) return readImage(image, options.platform ?? hostPlatform(), sink, options);
  if (options.platform !== undefined) {
    const message = `Only container images have a platform; ${location} is none`;
    throw new ImageUnpackerError('USAGE', message, { path: location });
  }
  const { limits = DEFAULT_LIMITS } = options;
  if (location === STANDARD_INPUT)
    return readTree(
      tarSource(() => options.standardInput, 'standard input', limits),
      sink,
      options,
    );
  if (location === '')
    throw new ImageUnpackerError('USAGE', 'No source is named; give a directory, a tar file or an image');
  const found = await find(location);
  if (found.isDirectory()) return readDirectory(location, sink, options);
  if (!found.isFile() && !found.isFIFO() && !found.isCharacterDevice()) {
    const message = `The source ${location} is neither a directory nor a tar file`;
    throw new ImageUnpackerError('SOURCE_UNSUPPORTED', message, { path: location });
  }
  const open = (): AsyncIterable<Buffer> => createReadStream(location, { highWaterMark: READ_BYTES });
  return readTree(tarSource(open, location, limits), sink, options);
}

async function find(location: string): Promise<Stats> {
  try {
    return await stat(location);
  } catch (reason) {
    const { code } = reason as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') {
      throw ImageUnpackerError.from(reason, `Cannot read the source ${location}`, { path: location });
    }
    throw new ImageUnpackerError('SOURCE_MISSING', `There is no source at ${location}`, { path: location });
  }
}
