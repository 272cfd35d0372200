import { ACCESS_ACL, DEFAULT_ACL, normaliseAcl } from '../../image/acl.js';
import type { EntryType, Metadata, Xattr } from '../../image/entry.js';
import { ImageUnpackerError } from '../../image/error.js';
import { aclFromText } from './acl-text.js';
import { damaged, unsupported, type Place } from './fault.js';
import { FIELDS, headerNumber, type Field, type Header } from './header.js';
import { decodeFlags } from './inode-flags.js';
import { MAX_OWNER_ID } from './limits.js';
import { decodeDecimal, decodeNumber, decodeTime, secondsToTime } from './number.js';
import type { PaxAttributes } from './pax-attributes.js';
import { decodeXattrs } from './xattrs.js';

/** All that an archive tells of one entry. */
export interface Told {
  place: Place & { path: Buffer };
  header: Header;
  attributes: PaxAttributes;
  linkName: Buffer;
}

/** A mode with the type of the file, as some writers store it, has 16 bits. */
const MODE_BITS = 0o177777n;
const PERMISSION_BITS = 0o7777;
const SECOND = 1_000_000_000n;

/**
 * What an inode has besides its type and content: from pax records, else from the header. Throws
 * `SOURCE_DAMAGED` or `SOURCE_UNSUPPORTED` for what cannot be or cannot be held.
 */
export function decodeMetadata(told: Told, type: Exclude<EntryType, 'link'>): Metadata {
  const { place, attributes } = told;
  const flags = attributes.values.get('SCHILY.fflags');
  const bits = flags === undefined ? 0 : decodeFlags(place, flags);
  if (bits !== 0 && type !== 'file' && type !== 'directory') {
    throw unsupported(place, 'it has inode flags, which Linux keeps on files and directories only');
  }
  const { mode, xattrs } = withAcls(told, type, decodeMode(told));
  return {
    // Linux has no other mode for symlinks, whatever the system was that packed one.
    mode: type === 'symlink' ? 0o777 : mode,
    uid: decodeOwner(told, 'uid'),
    gid: decodeOwner(told, 'gid'),
    mtime: decodeModificationTime(told),
    flags: bits,
    xattrs,
  };
}

/** A number that a pax record may hold instead of the header. The header's field may then be anything. */
export function decodeOwnNumber({ place, header, attributes }: Told, key: string, field: Field): bigint {
  const value = attributes.values.get(key);
  return value === undefined ? headerNumber(place, header, field) : decodeDecimal(place, key, value);
}

function decodeMode({ place, header }: Told): number {
  const mode = headerNumber(place, header, FIELDS.mode);
  if (mode < 0n || mode > MODE_BITS) throw damaged(place, 'its mode is no mode');
  return Number(mode) & PERMISSION_BITS;
}

function decodeOwner(told: Told, key: 'uid' | 'gid'): number {
  const id = decodeOwnNumber(told, key, FIELDS[key]);
  if (id >= 0n && id <= MAX_OWNER_ID) return Number(id);
  throw unsupported(told.place, `its ${FIELDS[key].name} ${String(id)} is beyond what Linux holds`);
}

/**
 * An ACL is told by its xattr, which has numbers, or by text, which may have names (GNU tar with
 * --acls). GNU tar can be made to write both; they come from one inode, and the xattr is the exact one.
 */
function withAcls(
  { place, attributes }: Told,
  type: EntryType,
  mode: number,
): { mode: number; xattrs: readonly Xattr[] } {
  const xattrs = decodeXattrs(place, attributes);
  for (const [kind, name] of [
    ['access', ACCESS_ACL],
    ['default', DEFAULT_ACL],
  ] as const) {
    const text = attributes.values.get(`SCHILY.acl.${kind}`);
    if (text === undefined || xattrs.some(xattr => xattr.name.toString('latin1') === name)) continue;
    xattrs.push({ name: Buffer.from(name), value: aclFromText(place, kind, text) });
  }
  try {
    const { mode: bits, xattrs: kept } = normaliseAcl(mode, xattrs, type);
    return { mode: bits, xattrs: kept.toSorted((a, b) => a.name.compare(b.name)) };
  } catch (reason) {
    if (!(reason instanceof ImageUnpackerError)) throw reason;
    throw unsupported(place, reason.message);
  }
}

function decodeModificationTime({ place, header, attributes }: Told): bigint {
  const value = attributes.values.get('mtime');
  if (value === undefined) return secondsToTime(place, headerNumber(place, header, FIELDS.mtime));
  const time = decodeTime(place, 'mtime', value);
  return time < 0n ? mendedTime(header, time) : time;
}

/**
 * libarchive writes a time as its seconds, rounded down, and then its nanoseconds, also before 1970:
 * "-2.25" is 1.75 s before 1970 for it, 2.25 s for POSIX and everybody else. What was meant shows in the
 * header, where libarchive stores the seconds in a form of its own, base 256 and a space: the time
 * rounded down is -2 s for libarchive and would be -3 s for others.
 */
function mendedTime(header: Header, time: bigint): bigint {
  const field = header.block.subarray(FIELDS.mtime.offset, FIELDS.mtime.offset + FIELDS.mtime.length);
  if (field[0] !== 0xff || field[field.length - 1] !== 0x20) return time;
  const fraction = -time % SECOND;
  const whole = time + fraction;
  const isTheirs = fraction > 0n && decodeNumber(field.subarray(0, -1)) === whole / SECOND;
  return isTheirs ? whole + fraction : time;
}
