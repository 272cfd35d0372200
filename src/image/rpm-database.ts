import { ImageUnpackerError } from './error.js';
import type { Package } from './package-list.js';
import { SqlitePages } from './sqlite-pages.js';
import { readSqliteTable } from './sqlite-table.js';

/*
 * The database of rpm (lib/backend/sqlite.c, lib/header.c): in SQLite a table `Packages` of a number and a header.
 *
 *   header     u32 entries, u32 bytes of data, entry*, data; all big-endian
 *   entry      u32 tag, u32 type, u32 where in the data, u32 how many
 *   type       4: u32; 6: text that ends with NUL; 9: the same in several languages, the first is that of C
 */

const NAME = 1000;
const VERSION = 1001;
const RELEASE = 1002;
const EPOCH = 1003;
const VENDOR = 1011;
const LICENSE = 1014;
const PACKAGER = 1015;
const ARCHITECTURE = 1022;
const SOURCE_PACKAGE = 1044;

const KEPT = new Set([
  NAME,
  VERSION,
  RELEASE,
  EPOCH,
  VENDOR,
  LICENSE,
  PACKAGER,
  ARCHITECTURE,
  SOURCE_PACKAGE,
]);
const UINT32 = 4;
const TEXT = 6;
const TEXT_IN_LANGUAGES = 9;
const ENTRY_BYTES = 16;
const MAX_VALUE = 1024;

/** What a database says. Headers that make no package are counted, and passed over. */
export interface RpmPackages {
  packages: Package[];
  illFormed: number;
}

/**
 * Reads the packages that are installed, at most `most` of them, from a database in SQLite and its write-ahead log, which
 * is empty where there is none. Throws `SOURCE_DAMAGED`, `SOURCE_UNSUPPORTED`.
 */
export function readRpmDatabase(database: Buffer, log: Buffer, most: number): RpmPackages {
  const rows = readSqliteTable(new SqlitePages(database, log), 'Packages');
  if (rows === undefined) throw new ImageUnpackerError('SOURCE_DAMAGED', 'it has no table of packages');
  const found: RpmPackages = { packages: [], illFormed: 0 };
  for (const [, header] of rows) {
    if (found.packages.length >= most) break;
    const read = Buffer.isBuffer(header) ? readRpmHeader(header) : undefined;
    if (read === undefined) found.illFormed++;
    else found.packages.push(read);
  }
  return found;
}

/** The package that a header is of; undefined if it is of none. */
export function readRpmHeader(header: Buffer): Package | undefined {
  const values = readValues(header);
  if (values === undefined) return undefined;
  const textOf = (tag: number): string => values.get(tag) ?? '';
  const [name, version, release] = [textOf(NAME), textOf(VERSION), textOf(RELEASE)];
  if (![name, version, release].every(isPlain)) return undefined;
  const epoch = values.has(EPOCH) ? `${textOf(EPOCH)}:` : '';
  const full = `${epoch}${version}-${release}`;
  if (full.length > MAX_VALUE) return undefined;
  // A package of keys is of no architecture; `rpm` prints "(none)" then.
  const [, source = name, sourceVersion = `${version}-${release}`] =
    /^(.+)-([^-]+-[^-]+)\.(?:no)?src\.rpm$/.exec(textOf(SOURCE_PACKAGE)) ?? [];
  const license = textOf(LICENSE);
  return {
    manager: 'rpm',
    name,
    version: full,
    architecture: textOf(ARCHITECTURE),
    source,
    sourceVersion,
    maintainer: textOf(VENDOR) || textOf(PACKAGER),
    ...(license !== '' && { license }),
  };
}

function isPlain(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

/** The values that are kept, as text; undefined if this is no header. */
function readValues(header: Buffer): Map<number, string> | undefined {
  if (header.length < 8) return undefined;
  const [entries, bytes] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const start = 8 + entries * ENTRY_BYTES;
  if (start + bytes > header.length) return undefined;
  const data = header.subarray(start, start + bytes);
  const values = new Map<number, string>();
  for (let at = 8; at < start; at += ENTRY_BYTES) {
    const tag = header.readUInt32BE(at);
    if (!KEPT.has(tag) || values.has(tag)) continue;
    const value = readValue(data, header.readUInt32BE(at + 4), header.readUInt32BE(at + 8));
    if (value === undefined) return undefined;
    values.set(tag, value);
  }
  return values;
}

function readValue(data: Buffer, type: number, offset: number): string | undefined {
  if (type === UINT32) return offset + 4 <= data.length ? String(data.readUInt32BE(offset)) : undefined;
  if (type !== TEXT && type !== TEXT_IN_LANGUAGES) return undefined;
  const end = data.indexOf(0, offset);
  if (offset >= data.length || end < 0) return undefined;
  return data.toString('utf8', offset, Math.min(end, offset + MAX_VALUE)).slice(0, MAX_VALUE);
}
