import { ImageUnpackerError } from '../../image/error.js';

/** The files of an OCI image layout or a Docker archive, by their paths in it. */
export interface ImageFiles {
  /** How messages call the whole. */
  readonly location: string;
  /** The file at `path`, which has no empty, `.` or `..` component; undefined if there is none. Throws `SOURCE_UNSUPPORTED`. */
  find(path: string): Promise<ImageFile | undefined>;
}

/** A file that can be read as often as need be. */
export interface ImageFile {
  readonly size: number;
  chunks(): AsyncIterable<Buffer>;
}

/** The error of a layout or archive that contradicts itself. */
export function imageDamaged(location: string, why: string): ImageUnpackerError {
  const message = `Cannot read ${location}: ${why}; it is damaged, get or make it anew`;
  return new ImageUnpackerError('SOURCE_DAMAGED', message, { path: location });
}

/** The error of one that is well-formed and not understood. */
export function imageUnsupported(location: string, why: string): ImageUnpackerError {
  return new ImageUnpackerError('SOURCE_UNSUPPORTED', `Cannot read ${location}: ${why}`, { path: location });
}

/** A small file as a whole. Throws `SOURCE_DAMAGED` if it is longer than `limit` bytes, or than its size says. */
export async function readSmall(
  files: ImageFiles,
  path: string,
  file: ImageFile,
  limit: number,
): Promise<Buffer> {
  if (file.size > limit)
    throw imageDamaged(files.location, `${path} has more than ${String(limit)} bytes, which none needs`);
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of file.chunks()) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > limit) throw imageDamaged(files.location, `${path} is longer than its size`);
  }
  return Buffer.concat(chunks);
}
