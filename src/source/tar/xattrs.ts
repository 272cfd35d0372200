import type { Xattr } from '../../image/entry.js';
import { displayBytes } from '../../image/path.js';
import { damaged, unsupported, type Place } from './fault.js';
import { MAX_XATTR_NAME_BYTES, MAX_XATTR_VALUE_BYTES } from './limits.js';
import type { PaxAttributes } from './pax-attributes.js';

/*
 * Extended attributes in pax records:
 *
 *   SCHILY.xattr.NAME=value        value as it is. GNU tar writes "%" of the name as %25, "=" as %3D;
 *                                  Go writes the name as it is
 *   LIBARCHIVE.xattr.NAME=value    value in base64 without padding, name with %XX (libarchive)
 *   RHT.security.selinux=context   the label, without the NUL that the kernel keeps at its end (GNU tar)
 *
 * libarchive writes each attribute in both of the first two forms, the name in the first with %XX or, in
 * other versions, as it is. Its own form is the one that nobody misreads, so it counts, and the other
 * must be the same attribute written again.
 */

const SCHILY = 'SCHILY.xattr.';
const LIBARCHIVE = 'LIBARCHIVE.xattr.';
const SELINUX = 'security.selinux';

const NAMESPACE = /^(?:user|trusted|security)\../s;
const SYSTEM_NAMES = new Set(['system.posix_acl_access', 'system.posix_acl_default']);

/**
 * The xattrs that pax records tell of, sorted by name; ACLs as text are not among them. Names and
 * values are copies.
 *
 * Throws `SOURCE_DAMAGED` if one is ill-formed, `SOURCE_UNSUPPORTED` if it is of a namespace or a size
 * that Linux does not have, or if it is told twice and differently.
 */
export function decodeXattrs(place: Place, { values }: PaxAttributes): Xattr[] {
  const found = new Map<string, Buffer>();
  const twins = new Set<string>();
  for (const [key, value] of values) {
    if (!key.startsWith(LIBARCHIVE)) continue;
    const encoded = key.slice(LIBARCHIVE.length);
    const name = decodePercent(place, encoded);
    const bytes = decodeBase64(place, value);
    found.set(name, bytes);
    for (const form of [encoded, name]) twins.add(`${form}=${bytes.toString('latin1')}`);
  }
  for (const [key, value] of values) {
    if (!key.startsWith(SCHILY)) continue;
    const encoded = key.slice(SCHILY.length);
    if (twins.size === 0) found.set(decodeGnuName(place, encoded), value);
    else if (!twins.has(`${encoded}=${value.toString('latin1')}`)) throw twice(place, encoded);
  }
  addSelinuxLabel(place, values.get('RHT.security.selinux'), found);
  return [...found]
    .map(([name, value]) => checked(place, name, value))
    .sort((a, b) => a.name.compare(b.name));
}

/** libselinux stores a label with its NUL; GNU tar writes it without and restores it by libselinux. */
function addSelinuxLabel(place: Place, label: Buffer | undefined, found: Map<string, Buffer>): void {
  if (label === undefined) return;
  if (label.includes(0)) throw damaged(place, 'its SELinux label holds a NUL byte');
  const value = Buffer.concat([label, Buffer.of(0)]);
  const other = found.get(SELINUX);
  if (other !== undefined && !other.equals(value)) throw twice(place, SELINUX);
  found.set(SELINUX, value);
}

function checked(place: Place, name: string, value: Buffer): Xattr {
  const bytes = Buffer.from(name, 'latin1');
  if (!NAMESPACE.test(name) && !SYSTEM_NAMES.has(name)) {
    throw unsupported(
      place,
      `it has the xattr ${shown(name)}, of a namespace that no image holds; pack it without`,
    );
  }
  if (bytes.includes(0)) throw damaged(place, `the name of its xattr ${shown(name)} holds a NUL byte`);
  if (bytes.length > MAX_XATTR_NAME_BYTES) {
    throw unsupported(place, `the name of its xattr ${shown(name)} is longer than Linux holds`);
  }
  if (value.length > MAX_XATTR_VALUE_BYTES) {
    throw unsupported(place, `its xattr ${shown(name)} is longer than the 65536 bytes that Linux holds`);
  }
  return { name: bytes, value: Buffer.from(value) };
}

function decodeGnuName(place: Place, encoded: string): string {
  return encoded.replace(/%(..)?/gs, (whole, code) => {
    if (code === '25') return '%';
    if (code === '3D') return '=';
    throw unsupported(
      place,
      `the name of its xattr ${shown(encoded)} has "${shown(whole)}", which writers of tar files mean differently; rename it`,
    );
  });
}

function decodePercent(place: Place, encoded: string): string {
  return encoded.replace(/%([0-9A-Fa-f]{2})?/g, (_, code?: string) => {
    if (code === undefined) throw damaged(place, `the name of its xattr ${shown(encoded)} is ill-formed`);
    return String.fromCharCode(parseInt(code, 16));
  });
}

function decodeBase64(place: Place, value: Buffer): Buffer {
  const text = value.toString('latin1').replace(/={1,2}$/, '');
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64').replace(/=+$/, '') !== text)
    throw damaged(place, 'one of its xattrs is no base64');
  return bytes;
}

function twice(place: Place, name: string): Error {
  return unsupported(place, `its xattr ${shown(name)} is there twice, with two values; pack it anew`);
}

function shown(name: string): string {
  return displayBytes(Buffer.from(name.slice(0, 100), 'latin1'));
}
