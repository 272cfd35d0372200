import { damaged, unsupported, type Place } from './fault.js';
import { BLOCK_BYTES } from './limits.js';
import { decodeNumber } from './number.js';

/*
 * A header: one block of 512 bytes (POSIX.1-2017, pax, "ustar Interchange Format"; tar(5)).
 *
 *   at   bytes              at   bytes
 *   0    100  name          257  6   magic     "ustar" NUL: ustar and pax; "ustar " then " " NUL: GNU
 *   100  8    mode          263  2   version   all eight NUL: version 7, which ends at 257
 *   108  8    uid           265  32  uname     not read: ids are what counts
 *   116  8    gid           297  32  gname
 *   124  12   size          329  8   devmajor
 *   136  12   mtime         337  8   devminor
 *   148  8    checksum      345  155 prefix    ustar: goes before the name, with a slash
 *   156  1    typeflag      386  96  sparse map, 482 whether it goes on, 483 12 size   GNU, typeflag S
 *   157  100  linkname
 *
 * Names end at the first NUL, or fill their field. The checksum is the sum of all bytes, its own
 * field taken as spaces; some old writers summed signed bytes.
 */

export type HeaderFormat = 'v7' | 'ustar' | 'gnu';

export interface Header {
  format: HeaderFormat;
  typeflag: string;
  name: Buffer;
  linkName: Buffer;
  /** All of it, for its numbers and GNU's sparse map. */
  block: Buffer;
}

/** Where a numeric field stands, and how messages call it. */
export const FIELDS = {
  mode: { offset: 100, length: 8, name: 'mode' },
  uid: { offset: 108, length: 8, name: 'user id' },
  gid: { offset: 116, length: 8, name: 'group id' },
  size: { offset: 124, length: 12, name: 'size' },
  mtime: { offset: 136, length: 12, name: 'modification time' },
  major: { offset: 329, length: 8, name: 'major device number' },
  minor: { offset: 337, length: 8, name: 'minor device number' },
} as const;

export type Field = (typeof FIELDS)[keyof typeof FIELDS];

const CHECKSUM = { start: 148, end: 156 };
const TYPEFLAG = 156;
const MAGIC = { start: 257, end: 265 };
const PREFIX = { start: 345, end: 500 };
const SLASH = Buffer.from('/');
const NOTHING = Buffer.alloc(BLOCK_BYTES);

/** Whether a block is all zeros: the mark at the end of an archive. */
export function isZeroBlock(block: Buffer): boolean {
  return block[0] === 0 && block.equals(NOTHING);
}

/** Whether the checksum of a header is right, over unsigned or over signed bytes. */
export function isChecksumRight(block: Buffer): boolean {
  const stored = decodeNumber(block.subarray(CHECKSUM.start, CHECKSUM.end));
  let sum = 0x20 * (CHECKSUM.end - CHECKSUM.start);
  let high = 0;
  for (let at = 0; at < BLOCK_BYTES; at++) {
    if (at === CHECKSUM.start) at = CHECKSUM.end;
    const byte = block[at]!;
    sum += byte;
    high += byte >> 7;
  }
  return stored === BigInt(sum) || stored === BigInt(sum - 256 * high);
}

/**
 * Splits a header whose checksum is right. Throws `SOURCE_UNSUPPORTED` if it is of a kind that this
 * reader would not read as its writer meant it.
 */
export function decodeHeader(archive: string, block: Buffer): Header {
  const ownName = untilNul(block.subarray(0, 100));
  const place: Place = { archive, path: ownName };
  const format = formatOf(place, block);
  const prefix =
    format === 'ustar' ? untilNul(block.subarray(PREFIX.start, PREFIX.end)) : NOTHING.subarray(0, 0);
  return {
    format,
    typeflag: String.fromCharCode(block[TYPEFLAG]!),
    name: prefix.length === 0 ? ownName : Buffer.concat([prefix, SLASH, ownName]),
    linkName: untilNul(block.subarray(157, 257)),
    block,
  };
}

function formatOf(place: Place, block: Buffer): HeaderFormat {
  const magic = block.toString('latin1', MAGIC.start, MAGIC.end);
  if (magic.startsWith('ustar\0')) return 'ustar';
  if (magic === 'ustar  \0') return 'gnu';
  const rest = block.subarray(PREFIX.start);
  if (magic === '\0'.repeat(8) && rest.equals(NOTHING.subarray(0, rest.length))) return 'v7';
  throw unsupported(
    place,
    'its header is neither of version 7, ustar, pax nor GNU format; pack it with tar --format=pax',
  );
}

function untilNul(field: Buffer): Buffer {
  const nul = field.indexOf(0);
  return nul < 0 ? field : field.subarray(0, nul);
}

/** Reads a numeric field. Throws `SOURCE_DAMAGED` if it is no number. */
export function headerNumber(place: Place, header: Header, field: Field): bigint {
  const value = decodeNumber(header.block.subarray(field.offset, field.offset + field.length));
  if (value === undefined) throw damaged(place, `the ${field.name} in its header is no number`);
  return value;
}
