import { damaged } from './damage.js';

/*
 * A POSIX access control list, as ext4 stores it and as programs see it:
 *
 *   stored    = 1 u32, entry ...       entry = tag u16, permissions u16, and for named users and groups id u32
 *   attribute = 2 u32, entry ...       entry = tag u16, permissions u16, id u32 (all ones where there is none)
 */

const STORED_VERSION = 1;
const ATTRIBUTE_VERSION = 2;
const NO_ID = 0xffffffff;
const NAMED_TAGS = [0x02, 0x08];
const UNNAMED_TAGS = [0x01, 0x04, 0x10, 0x20];

/** Turns a stored ACL into the value of the extended attribute. Throws `VOLUME_DAMAGED`. */
export function decodeStoredAcl(stored: Buffer): Buffer {
  if (stored.length < 4 || stored.readUInt32LE(0) !== STORED_VERSION)
    throw damaged('an ACL of an unknown form');
  const header = Buffer.alloc(4);
  header.writeUInt32LE(ATTRIBUTE_VERSION);
  const parts = [header];
  for (let at = 4; at < stored.length;) {
    const tag = at + 4 <= stored.length ? stored.readUInt16LE(at) : 0;
    const named = NAMED_TAGS.includes(tag);
    const length = named ? 8 : 4;
    if ((!named && !UNNAMED_TAGS.includes(tag)) || at + length > stored.length) {
      throw damaged('an ACL has an entry that is none');
    }
    const entry = Buffer.alloc(8);
    stored.copy(entry, 0, at, at + 4);
    entry.writeUInt32LE(named ? stored.readUInt32LE(at + 4) : NO_ID, 4);
    parts.push(entry);
    at += length;
  }
  return Buffer.concat(parts);
}
