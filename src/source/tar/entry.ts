import { holesBetween, type EntryType } from '../../image/entry.js';
import type { SourceEntry } from '../source.js';
import type { ByteReader } from './byte-reader.js';
import { damaged, unsupported } from './fault.js';
import { fileData, type FileData } from './file-data.js';
import { FIELDS, headerNumber } from './header.js';
import { MAX_DEVICE_MAJOR, MAX_DEVICE_MINOR, MAX_FILE_SIZE, MAX_SYMLINK_BYTES } from './limits.js';
import type { Member } from './member.js';
import { decodeMetadata, decodeOwnNumber, type Told } from './metadata.js';
import { decodeDecimal } from './number.js';
import { endsWithSlash, normalisePath } from './path.js';
import { paxAttributes } from './pax-attributes.js';
import { readSparseMap } from './sparse-map.js';

/** An entry, and the data to be passed over before the next member. */
export interface ReadEntry {
  entry: SourceEntry;
  data?: FileData;
}

/** What the type flags stand for (POSIX, and 7 and S of GNU, where 7 is a file like others). */
const TYPES: ReadonlyMap<string, EntryType> = new Map([
  ['\0', 'file'],
  ['0', 'file'],
  ['7', 'file'],
  ['S', 'file'],
  ['1', 'link'],
  ['2', 'symlink'],
  ['3', 'character'],
  ['4', 'block'],
  ['5', 'directory'],
  ['6', 'fifo'],
]);

/** Why the type flags of GNU's other archives are refused. */
const REFUSED: ReadonlyMap<string, string> = new Map([
  ['D', 'it is part of an incremental backup; pack the whole tree'],
  ['M', 'it is part of an archive in several volumes; pack it in one'],
]);

/**
 * Makes an entry of a member. Where a pax record, a GNU long name and the header speak of one thing,
 * they count in this order.
 *
 * Throws `SOURCE_DAMAGED` for what no writer makes, `SOURCE_UNSUPPORTED` for what no image can hold.
 */
export async function readEntry(reader: ByteReader, member: Member): Promise<ReadEntry> {
  const { header } = member;
  const { archive } = reader;
  const attributes = paxAttributes({ archive, path: member.longName ?? header.name }, member.records);
  const { values } = attributes;
  const name = values.get('GNU.sparse.name') ?? values.get('path') ?? member.longName ?? header.name;
  const path = normalisePath({ archive, path: name }, 'name', name);
  const linkName = values.get('linkpath') ?? member.longLink ?? header.linkName;
  const told: Told = { place: { archive, path }, header, attributes, linkName };
  const type = typeOf(told, name);
  if (type === 'file') return await readFile(reader, told);
  checkNoData(told, type);
  return { entry: withoutData(told, type) };
}

function typeOf({ place, header: { typeflag } }: Told, name: Buffer): EntryType {
  const type = TYPES.get(typeflag);
  if (type === undefined) {
    const shown = /[!-~]/.test(typeflag) ? typeflag : `0x${typeflag.charCodeAt(0).toString(16)}`;
    throw unsupported(
      place,
      REFUSED.get(typeflag) ?? `it is of the type "${shown}", of which no image knows`,
    );
  }
  // Version 7 had no type for directories, and GNU tar and libarchive still read them so.
  const seen = type === 'file' && typeflag !== 'S' && endsWithSlash(name) ? 'directory' : type;
  if (place.path.length > 0 || seen === 'directory') return seen;
  throw unsupported(place, 'the root of the tree is no directory');
}

async function readFile(reader: ByteReader, told: Told): Promise<ReadEntry> {
  const { place, header, attributes } = told;
  const metadata = decodeMetadata(told, 'file');
  const stored = sizeOf(told);
  const map = await readSparseMap(place, reader, header, attributes, stored);
  const size = map?.size ?? stored;
  const segments = map?.segments ?? (size > 0n ? [{ offset: 0n, length: size }] : []);
  const realSize = attributes.values.get('SCHILY.realsize');
  if (realSize !== undefined && decodeDecimal(place, 'SCHILY.realsize', realSize) !== size) {
    throw unsupported(place, 'its SCHILY.realsize is not its size; pack it with tar --format=pax');
  }
  const holes = holesBetween(size, segments);
  const base = { type: 'file', path: place.path, size, holes, ...metadata } as const;
  if (segments.length === 0) return { entry: { ...base, content: { kind: 'stored', digest: null } } };
  const data = fileData(reader, place.path, size, segments, holes);
  return { entry: { ...base, content: { kind: 'stream', chunks: data.chunks } }, data };
}

function withoutData(told: Told, type: Exclude<EntryType, 'file'>): SourceEntry {
  const { place, linkName } = told;
  const { path } = place;
  switch (type) {
    case 'link':
      return { type, path, target: linkTarget(told) };
    case 'symlink':
      return { type, path, target: symlinkTarget(place, linkName), ...decodeMetadata(told, type) };
    case 'character':
    case 'block':
      return { type, path, ...deviceNumber(told), ...decodeMetadata(told, type) };
    default:
      return { type, path, ...decodeMetadata(told, type) };
  }
}

function linkTarget({ place, linkName }: Told): Buffer {
  const target = normalisePath(place, 'hard link target', linkName);
  if (target.length === 0) throw unsupported(place, 'it is a hard link to the root of the tree');
  return target;
}

function symlinkTarget(place: Told['place'], target: Buffer): Buffer {
  if (target.length === 0) throw unsupported(place, 'it is a symlink to nothing, which Linux does not hold');
  if (target.includes(0)) throw damaged(place, 'its symlink target holds a NUL byte');
  if (target.length <= MAX_SYMLINK_BYTES) return Buffer.from(target);
  throw unsupported(
    place,
    `its symlink target is longer than the ${String(MAX_SYMLINK_BYTES)} bytes that Linux holds`,
  );
}

function deviceNumber(told: Told): { major: number; minor: number } {
  const major = decodeOwnNumber(told, 'SCHILY.devmajor', FIELDS.major);
  const minor = decodeOwnNumber(told, 'SCHILY.devminor', FIELDS.minor);
  const isHeld = major >= 0n && major <= MAX_DEVICE_MAJOR && minor >= 0n && minor <= MAX_DEVICE_MINOR;
  if (isHeld) return { major: Number(major), minor: Number(minor) };
  throw unsupported(
    told.place,
    `its device number ${String(major)}:${String(minor)} is beyond what Linux holds`,
  );
}

function sizeOf({ place, header, attributes }: Told): bigint {
  const value = attributes.values.get('size');
  const size =
    value === undefined ? headerNumber(place, header, FIELDS.size) : decodeDecimal(place, 'size', value);
  if (size >= 0n && size <= MAX_FILE_SIZE) return size;
  throw damaged(place, 'its size is no size');
}

/**
 * Readers disagree on whether data follows such an entry: GNU tar, Go and Python say no, libarchive and pax
 * look or say yes. The writers of today give a hard link the size 0 (GNU tar, bsdtar and bsdcpio in all
 * formats, busybox, Python, Docker); POSIX lets a pax archive repeat the data, old writers gave the size alone.
 */
function checkNoData(told: Told, type: EntryType): void {
  const size = sizeOf(told);
  if (size === 0n) return;
  const what = type === 'link' ? 'hard link' : type;
  throw unsupported(
    told.place,
    `it is a ${what} that says it has ${String(size)} bytes of data, and readers disagree on whether they ` +
      'follow; pack it anew with GNU tar',
  );
}
