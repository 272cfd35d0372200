import { normaliseAcl } from './acl.js';
import type { EntryType, Metadata, Xattr } from './entry.js';
import { ImageUnpackerError } from './error.js';
import { MAX_XATTR_NAME_BYTES, MAX_XATTR_VALUE_BYTES } from './limits.js';
import { displayBytes } from './path.js';

/*
 * Which extended attributes an inode can have on Linux (xattr(7)), whatever its file system. What the kernel
 * would not take is in no image, and neither is a second way to say the same.
 *
 * File capabilities (linux/capability.h, VFS_CAP_REVISION_2 and _3), little endian:
 *
 *   value = %x00-01 %x00 %x00 %x02 16OCTET             the first bit: whether they are effective
 *         / %x00-01 %x00 %x00 %x03 16OCTET root        root:u32, the user who is root in the namespace for which
 *                                                      they are meant; not 0, which the kernel shows as the form above
 */

/** Which of an inode's metadata its attributes have to fit. */
type Owner = Pick<Metadata, 'mode' | 'xattrs'> & { type: Exclude<EntryType, 'link'> };

const NAMES = /^(?:user\..+|trusted\..+|security\..+|system\.posix_acl_(?:access|default))$/s;
const USER = 'user.';
/** The kernel keeps attributes of users on these only, since they share the rights of content. */
const WITH_USER: ReadonlySet<EntryType> = new Set(['file', 'directory']);

const CAPABILITY = 'security.capability';
const REVISION_2 = { revision: 0x0200_0000, bytes: 20 };
const REVISION_3 = { revision: 0x0300_0000, bytes: 24 };
const EFFECTIVE = 1;
const ROOT_AT = 20;
const NO_ID = 0xffff_ffff;

/** Says what keeps `xattr` from being an attribute of an inode of that type, or undefined if nothing does. */
export function xattrFault(type: EntryType, { name, value }: Xattr): string | undefined {
  const shown = `the extended attribute ${displayBytes(name)}`;
  const text = name.toString('latin1');
  if (!NAMES.test(text) || name.includes(0)) {
    return `has ${shown}; only user.*, trusted.*, security.* and POSIX ACLs can be kept`;
  }
  if (name.length > MAX_XATTR_NAME_BYTES || value.length > MAX_XATTR_VALUE_BYTES) {
    return `has ${shown}, which is larger than Linux holds`;
  }
  if (text.startsWith(USER) && !WITH_USER.has(type)) {
    return `has ${shown}, which Linux keeps on files and directories only`;
  }
  if (text === CAPABILITY && !isCapability(value)) return `has ${shown}, whose value is none`;
  return undefined;
}

/**
 * Says what keeps the attributes of an inode, which are sorted, from being in the one form in which an image
 * has them, or undefined if nothing does.
 */
export function xattrsFault({ type, mode, xattrs }: Owner): string | undefined {
  for (const [at, xattr] of xattrs.entries()) {
    const fault = xattrFault(type, xattr);
    if (fault !== undefined) return fault;
    if (at > 0 && Buffer.compare(xattrs[at - 1]!.name, xattr.name) >= 0)
      return 'has extended attributes that are out of order';
    if (!canonicalXattr(xattr).value.equals(xattr.value))
      return 'has capabilities in a form that Linux shows in another';
  }
  try {
    const acl = normaliseAcl(mode, xattrs, type);
    const isSame =
      acl.mode === mode &&
      acl.xattrs.length === xattrs.length &&
      acl.xattrs.every(({ value }, at) => value.equals(xattrs[at]!.value));
    return isSame ? undefined : 'has an access control list that does not agree with its mode';
  } catch (reason) {
    if (!(reason instanceof ImageUnpackerError)) throw reason;
    return `is not valid: ${reason.message}`;
  }
}

/** A valid attribute in the form in which Linux shows it. */
export function canonicalXattr(xattr: Xattr): Xattr {
  const { name, value } = xattr;
  if (name.toString('latin1') !== CAPABILITY || value.length !== REVISION_3.bytes) return xattr;
  if (value.readUInt32LE(ROOT_AT) !== 0) return xattr;
  const shown = Buffer.from(value.subarray(0, REVISION_2.bytes));
  shown.writeUInt32LE(((value.readUInt32LE(0) & EFFECTIVE) | REVISION_2.revision) >>> 0);
  return { name, value: shown };
}

/** What the kernel asks of a value (validheader in security/commoncap.c). */
function isCapability(value: Buffer): boolean {
  const form = [REVISION_2, REVISION_3].find(({ bytes }) => value.length === bytes);
  if (form === undefined || (value.readUInt32LE(0) & ~EFFECTIVE) >>> 0 !== form.revision) return false;
  return form !== REVISION_3 || value.readUInt32LE(ROOT_AT) !== NO_ID;
}
