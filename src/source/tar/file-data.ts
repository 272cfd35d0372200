import { segmentsOf, type Hole, type Segment } from '../../image/entry.js';
import { ImageUnpackerError } from '../../image/error.js';
import { displayPath } from '../../image/path.js';
import type { ByteReader } from './byte-reader.js';
import { BLOCK_BYTES } from './limits.js';

/** Longer than any gap between two segments that a 4 KiB block, or two neighbours, hold together. */
const ZEROS = Buffer.alloc(8192);

/** The data of one file, as it lies in the archive. */
export interface FileData {
  /** The bytes of the file's data segments, in order; to be read once, before `finish`. */
  chunks: AsyncIterable<Buffer>;
  /** Passes over what was not read, and the filling up to a whole block. */
  finish(): Promise<void>;
}

/**
 * The data of a file whose stored ranges are `segments` and whose holes are `holes`. A range that
 * covers a 4 KiB block only in part comes with zeros for the rest, which is what the file reads as.
 */
export function fileData(
  reader: ByteReader,
  path: Buffer,
  size: bigint,
  segments: readonly Segment[],
  holes: readonly Hole[],
): FileData {
  const stored = segments.reduce((sum, { length }) => sum + length, 0n);
  let left = stored;
  let finished = false;

  async function* take(length: bigint): AsyncGenerator<Buffer> {
    for (let missing = length; missing > 0n;) {
      if (finished) throw readTooLate(path);
      const chunk = await reader.next(missing > BigInt(Number.MAX_SAFE_INTEGER) ? Infinity : Number(missing));
      if (chunk === undefined) throw reader.truncated(path);
      missing -= BigInt(chunk.length);
      left -= BigInt(chunk.length);
      yield chunk;
    }
  }

  async function* expanded(): AsyncGenerator<Buffer> {
    let next = 0;
    for (const { offset, length } of segmentsOf(size, holes)) {
      let at = offset;
      for (let segment = segments[next]; segment !== undefined && segment.offset < offset + length;) {
        yield* zeros(segment.offset - at);
        yield* take(segment.length);
        at = segment.offset + segment.length;
        segment = segments[++next];
      }
      yield* zeros(offset + length - at);
    }
  }

  const finish = async (): Promise<void> => {
    finished = true;
    await reader.skip(left + paddingOf(stored));
  };
  return { chunks: expanded(), finish };
}

/** How many bytes fill data of `length` bytes up to a whole block. */
export function paddingOf(length: bigint): bigint {
  return -length & BigInt(BLOCK_BYTES - 1);
}

function* zeros(length: bigint): Generator<Buffer> {
  if (length > 0n) yield ZEROS.subarray(0, Number(length));
}

function readTooLate(path: Buffer): ImageUnpackerError {
  const shown = displayPath(path);
  return new ImageUnpackerError('INTERNAL', `The data of ${shown} was asked for after the next entry`, {
    path: shown,
  });
}
