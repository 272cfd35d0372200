import { ByteReader, ByteWriter } from '../../image/encoding.js';
import { decodeBody, writeBody } from '../../image/entry-body.js';
import type { Entry, FileEntry } from '../../image/entry.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { FileData } from '../derivable.js';

/*
 * What an object is to be made of, as it is asked for over HTTP (docs/formats.md has `bytes` and `body`):
 *
 *   derivation = bytes bytes                  the bodies of two regular files without metadata: of the one whose object is wanted,
 *                                             and of the one whose object is there
 */

/** The holes of both files are told, of which each takes a few bytes. */
export const MAX_DERIVATION_BYTES = 1 << 20;

const NO_PATH = Buffer.alloc(0);
const NO_METADATA = { mode: 0, uid: 0, gid: 0, mtime: 0n, flags: 0, xattrs: [], names: [] };

/** A derivation. */
export function encodeDerivation(wanted: FileData, found: FileData): Buffer {
  const writer = new ByteWriter();
  for (const { size, holes, digest } of [wanted, found]) {
    const body = new ByteWriter();
    const entry: FileEntry = { type: 'file', path: NO_PATH, ...NO_METADATA, size, holes, digest };
    writeBody(body, entry);
    writer.bytes(body.take());
  }
  return writer.take();
}

/** The files of a derivation. Throws `USAGE`. */
export function decodeDerivation(bytes: Buffer): { wanted: FileData; found: FileData } {
  try {
    const reader = new ByteReader(bytes);
    const read = (): Entry => decodeBody(reader.bytes(MAX_DERIVATION_BYTES), NO_PATH);
    const [wanted, found] = [read(), read()];
    if (reader.left === 0 && wanted.type === 'file' && found.type === 'file') return { wanted, found };
  } catch (reason) {
    if (!(reason instanceof ImageUnpackerError)) throw reason;
  }
  throw new ImageUnpackerError('USAGE', 'What an object is to be made of is not told as it must be');
}
