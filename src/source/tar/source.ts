import { ImageUnpackerError } from '../../image/error.js';
import type { Limits } from '../../image/settable-limits.js';
import { DEFAULT_LIMITS } from '../../image/settable-limits.js';
import { decompress } from '../decompress.js';
import type { Source, SourceEntry } from '../source.js';
import { ByteReader } from './byte-reader.js';
import { readEntry } from './entry.js';
import { openInput } from './input.js';
import { readMember, type GlobalRecords } from './member.js';

/*
 * Content in from tar files of every format that is in use: version 7, ustar, pax (POSIX.1-2001) and GNU,
 * with the extensions of GNU tar, libarchive, star, Go and Python.
 *
 * Why a reader of our own: names, link targets and xattr values are bytes, and the readers on npm decode
 * them to strings, which destroys what is not UTF-8; they keep one of several pax records of a key, which
 * loses sparse map 0.0; and none knows old GNU sparse maps, which is what `tar -S` writes. Here everything
 * comes in exactly as it was packed, or is refused with its name.
 */

/**
 * The content of a tar file, plain or compressed with gzip, xz or zstd, as found by its first bytes.
 * `open` is called for each reading of the entries; `name` is how messages call the file.
 *
 * Entries come in the order of the archive, with paths that are normalised ("./a//b" is "a/b", "./" is
 * the root); earlier entries of the same path, missing parents and the targets of hard links are left
 * to the reader. Throws as `Source` says: `SOURCE_EMPTY` for a file or an archive with nothing in it,
 * `SOURCE_DAMAGED` for one that is cut off, followed by something else, ill-formed or no tar file,
 * `SOURCE_UNSUPPORTED` for what no image can hold or readers disagree on, `LIMIT_EXCEEDED`, and
 * `TOOL_MISSING` if the program that decompresses it is not installed.
 */
export function tarSource(
  open: () => AsyncIterable<Buffer> | Promise<AsyncIterable<Buffer>>,
  name: string,
  { sourceBytes }: Pick<Limits, 'sourceBytes'> = DEFAULT_LIMITS,
): Source {
  return { entries: signal => readEntries(open, name, sourceBytes, decompress, signal) };
}

/** The same of an archive that is not compressed, or that has been decompressed already. */
export function plainTarSource(
  open: () => AsyncIterable<Buffer>,
  name: string,
  { sourceBytes }: Pick<Limits, 'sourceBytes'>,
): Source {
  return { entries: signal => readEntries(open, name, sourceBytes, input => input, signal) };
}

async function* readEntries(
  open: () => AsyncIterable<Buffer> | Promise<AsyncIterable<Buffer>>,
  archive: string,
  maxBytes: number,
  unpack: (input: AsyncIterable<Buffer>, name: string, signal: AbortSignal) => AsyncIterable<Buffer>,
  signal: AbortSignal | undefined,
): AsyncGenerator<SourceEntry> {
  const stop = new AbortController();
  const stopped = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const input = openInput(open, archive, stopped);
  const reader = new ByteReader(unpack(input, archive, stopped), { archive, maxBytes, signal: stopped });
  const globals: GlobalRecords = new Map();
  let count = 0;
  try {
    for (let member; (member = await readMember(reader, globals)) !== undefined; count++) {
      const { entry, data } = await readEntry(reader, member);
      yield entry;
      await data?.finish();
    }
  } finally {
    // Whatever still waits for the input would otherwise keep it open.
    stop.abort();
    await reader.close();
  }
  if (count > 0) return;
  throw new ImageUnpackerError(
    'SOURCE_EMPTY',
    `Cannot read ${archive}: it is an archive of no entries; pack it anew`,
  );
}
