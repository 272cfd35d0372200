import { ImageUnpackerError } from '../../image/error.js';
import type { ByteReader } from './byte-reader.js';
import { damaged, unsupported } from './fault.js';
import { paddingOf } from './file-data.js';
import { decodeHeader, FIELDS, headerNumber, isChecksumRight, isZeroBlock, type Header } from './header.js';
import { BLOCK_BYTES, MAX_GLOBAL_BYTES, MAX_HEADER_BODY_BYTES } from './limits.js';
import { checkGlobalRecord } from './pax-attributes.js';
import { decodePaxRecords, type PaxRecord } from './pax-records.js';

/*
 * The members of an archive:
 *
 *   archive:   member* end
 *   member:    (global | label | extended | long-name | long-link)* header data
 *   extended:  header (typeflag x, or X of Solaris) pax-records       of the next member
 *   global:    header (typeflag g) pax-records                        of all later members
 *   long-name, long-link: header (typeflag L, K of GNU) bytes NUL     of the next member
 *   label:     header (typeflag V of GNU), no data; the name of the archive
 *   end:       a block of zeros, then nothing but zeros (POSIX wants two such blocks)
 *
 * Bodies and data are filled up to whole blocks. An archive that stops without its end has been cut off,
 * if only between two members; what follows the end is not part of it for GNU tar, so it is refused.
 */

/** A member, up to where its data begins. */
export interface Member {
  header: Header;
  /** The name and link target in GNU's long headers, which replace those in `header`. */
  longName?: Buffer;
  longLink?: Buffer;
  /** The records that hold for it, the global ones first. */
  records: readonly PaxRecord[];
}

/** The global records so far, by key. */
export type GlobalRecords = Map<string, PaxRecord>;

interface Description {
  longName?: Buffer;
  longLink?: Buffer;
  local?: PaxRecord[];
}

/**
 * Reads up to the data of the next member, adding to `globals` on the way; undefined at the end of the
 * archive, which is then read to its last byte.
 *
 * Throws `SOURCE_EMPTY` if there is not one byte, `SOURCE_DAMAGED` if it is no tar file or is damaged,
 * `SOURCE_UNSUPPORTED` for a header of an unknown format.
 */
export async function readMember(reader: ByteReader, globals: GlobalRecords): Promise<Member | undefined> {
  const description: Description = {};
  for (;;) {
    const header = await readHeader(reader);
    if (header === undefined) {
      if (Object.keys(description).length === 0) return undefined;
      throw damaged(reader, 'it ends after a header that describes the next one');
    }
    if (!(await describe(reader, header, description, globals))) return member(header, description, globals);
  }
}

function member(header: Header, { local, ...long }: Description, globals: GlobalRecords): Member {
  return { header, ...long, records: [...globals.values(), ...(local ?? [])] };
}

async function readHeader(reader: ByteReader): Promise<Header | undefined> {
  const { archive, position } = reader;
  const block = position === 0 ? await readFirstBlock(reader) : await reader.nextBlock();
  if (block === undefined)
    throw damaged(reader, `it stops at byte ${String(position)} without the mark of its end`);
  if (isZeroBlock(block)) {
    await checkNothingFollows(reader);
    return undefined;
  }
  if (isChecksumRight(block)) return decodeHeader(archive, block);
  throw damaged(
    reader,
    position === 0 ? 'it is not a tar file' : `the header at byte ${String(position)} has a wrong checksum`,
  );
}

/** A file that is shorter than a block is something else, not an archive that was cut off. */
async function readFirstBlock(reader: ByteReader): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let missing = BLOCK_BYTES; missing > 0;) {
    const piece = await reader.next(missing);
    if (piece === undefined) break;
    pieces.push(piece);
    missing -= piece.length;
  }
  const block = Buffer.concat(pieces);
  if (block.length === BLOCK_BYTES) return block;
  if (block.length > 0) throw damaged(reader, 'it is not a tar file');
  throw new ImageUnpackerError('SOURCE_EMPTY', `Cannot read ${reader.archive}: it is empty; make it anew`);
}

async function checkNothingFollows(reader: ByteReader): Promise<void> {
  for (;;) {
    const bytes = await reader.next(Infinity);
    if (bytes === undefined) return;
    if (bytes.some(byte => byte !== 0)) {
      throw damaged(reader, 'something follows its end; join archives with tar --concatenate');
    }
  }
}

/** Takes in a header that describes the next member or the archive; false if `header` is a member itself. */
async function describe(
  reader: ByteReader,
  header: Header,
  description: Description,
  globals: GlobalRecords,
): Promise<boolean> {
  switch (header.typeflag) {
    case 'x':
    case 'X':
      if (description.local !== undefined) throw damaged(reader, 'it has two pax headers for one entry');
      description.local = decodePaxRecords(reader, await readBody(reader, header));
      return true;
    case 'g':
      addGlobals(reader, decodePaxRecords(reader, await readBody(reader, header)), globals);
      return true;
    case 'L':
      description.longName = withoutNul(reader, await readBody(reader, header));
      return true;
    case 'K':
      description.longLink = withoutNul(reader, await readBody(reader, header));
      return true;
    case 'V':
      if ((await readBody(reader, header)).length === 0) return true;
      throw unsupported(reader, 'its volume label has data, which no writer gives it');
    default:
      return false;
  }
}

async function readBody(reader: ByteReader, header: Header): Promise<Buffer> {
  const size = headerNumber(reader, header, FIELDS.size);
  if (size < 0n || size > MAX_HEADER_BODY_BYTES) {
    throw damaged(
      reader,
      `a header says of what describes its next entry that it is ${String(size)} bytes long`,
    );
  }
  const body = await reader.read(Number(size));
  await reader.skip(paddingOf(size));
  return body;
}

function withoutNul(reader: ByteReader, body: Buffer): Buffer {
  let end = body.length;
  while (end > 0 && body[end - 1] === 0) end--;
  const name = body.subarray(0, end);
  if (name.includes(0)) throw damaged(reader, 'a long name holds a NUL byte');
  return name;
}

function addGlobals(reader: ByteReader, records: readonly PaxRecord[], globals: GlobalRecords): void {
  for (const record of records) {
    checkGlobalRecord(reader, record);
    globals.set(record.key, record);
  }
  let bytes = 0;
  for (const { key, value } of globals.values()) bytes += key.length + value.length;
  if (bytes > MAX_GLOBAL_BYTES) {
    throw damaged(reader, `its global headers set more than ${String(MAX_GLOBAL_BYTES)} bytes`);
  }
}
