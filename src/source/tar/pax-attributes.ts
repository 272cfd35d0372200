import { displayBytes } from '../../image/path.js';
import { unsupported, type Place } from './fault.js';
import type { PaxRecord } from './pax-records.js';

/*
 * Which keys of pax records mean something to an image. Of records with one key the last counts, and
 * an entry's own count before global ones. A key that is not known here may say something that the
 * image would lack, so it is refused.
 */

/** What the records say of one entry. */
export interface PaxAttributes {
  /** The last value of each key that is content, but for `sparsePairs`. */
  values: ReadonlyMap<string, Buffer>;
  /** The offset and numbytes records of sparse map 0.0, whose keys are repeated, in order. */
  sparsePairs: readonly PaxRecord[];
}

/** Keys that are content, and `CONTENT_PREFIXES` that begin some. */
const CONTENT = new Set([
  'path',
  'linkpath',
  'size',
  'uid',
  'gid',
  'mtime',
  'RHT.security.selinux',
  'SCHILY.acl.access',
  'SCHILY.acl.default',
  'SCHILY.devmajor',
  'SCHILY.devminor',
  'SCHILY.fflags',
  'SCHILY.realsize',
  'GNU.sparse.major',
  'GNU.sparse.minor',
  'GNU.sparse.name',
  'GNU.sparse.size',
  'GNU.sparse.realsize',
  'GNU.sparse.numblocks',
  'GNU.sparse.map',
]);
const CONTENT_PREFIXES = ['SCHILY.xattr.', 'LIBARCHIVE.xattr.'];

const SPARSE_PAIR = new Set(['GNU.sparse.offset', 'GNU.sparse.numbytes']);

/**
 * Keys that are not content: other times, names of ids, remarks, and where the entry lay on the disk
 * that it was packed from.
 */
const NOT_CONTENT = new Set([
  'atime',
  'ctime',
  'LIBARCHIVE.creationtime',
  'uname',
  'gname',
  'comment',
  'charset',
  'GNU.volume.label',
  'SCHILY.dev',
  'SCHILY.ino',
  'SCHILY.nlink',
]);

/** Keys that make sense for one entry only: in a global header they would give all entries one name or size. */
const NEVER_GLOBAL = /^(?:path|linkpath|size|SCHILY\.(?:realsize|dev.*)|GNU\.sparse\..*)$/;

/** The values of `hdrcharset` that are defined; names are bytes here, so neither changes anything. */
const CHARACTER_SETS = new Set(['BINARY', 'ISO-IR 10646 2000 UTF-8']);

/** Sorts out what records mean. Throws `SOURCE_UNSUPPORTED` for one that is not known. */
export function paxAttributes(place: Place, records: readonly PaxRecord[]): PaxAttributes {
  const values = new Map<string, Buffer>();
  const sparsePairs: PaxRecord[] = [];
  for (const record of records) {
    if (SPARSE_PAIR.has(record.key)) sparsePairs.push(record);
    else if (isContent(record.key)) values.set(record.key, record.value);
    else checkIgnorable(place, record);
  }
  return { values, sparsePairs };
}

/** Throws `SOURCE_UNSUPPORTED` if a record of a global header cannot hold for all entries, or is not known. */
export function checkGlobalRecord(place: Place, record: PaxRecord): void {
  if (NEVER_GLOBAL.test(record.key)) {
    throw unsupported(place, `its global header sets ${record.key} for all entries; pack it without`);
  }
  if (!isContent(record.key)) checkIgnorable(place, record);
}

function isContent(key: string): boolean {
  return CONTENT.has(key) || CONTENT_PREFIXES.some(prefix => key.startsWith(prefix));
}

function checkIgnorable(place: Place, { key, value }: PaxRecord): void {
  if (NOT_CONTENT.has(key)) return;
  if (key === 'hdrcharset' && CHARACTER_SETS.has(value.toString('latin1'))) return;
  const shown = displayBytes(Buffer.from(key.slice(0, 100), 'latin1'));
  throw unsupported(place, `its pax header has a record ${shown}, of which no image knows; pack it without`);
}
