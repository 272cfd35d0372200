import { ACL_TAGS, encodeAcl, type AclEntry, type AclTag } from '../../image/acl.js';
import { displayBytes } from '../../image/path.js';
import { damaged, unsupported, type Place } from './fault.js';
import { MAX_OWNER_ID } from './limits.js';

/*
 * SCHILY.acl.access and SCHILY.acl.default: an ACL as text. GNU tar puts newlines between entries,
 * libarchive and star put commas; star and libarchive add the number of a user or group whom they name.
 *
 *   acl:          entry ((","|"\n") entry)*        blanks around entries, "#..." after them mean nothing
 *   entry:        ("default:")? (named | unnamed)    the prefix in a default ACL only
 *   named:        ("user"|"group") ":" (digit+ | "") ":" permissions
 *               | ("user"|"group") ":" name ":" permissions ":" digit+
 *   unnamed:      ("mask"|"other") ":" ":"? permissions
 *   permissions:  ("r"|"-") ("w"|"-") ("x"|"-")
 *
 * Tags may be cut to their first letter. A name without a number means somebody else on every machine.
 */

/** What a tag means without and with somebody named. */
const TAGS: ReadonlyMap<string, readonly [AclTag, AclTag?]> = new Map([
  ['user', [ACL_TAGS.owner, ACL_TAGS.user]],
  ['group', [ACL_TAGS.owningGroup, ACL_TAGS.group]],
  ['mask', [ACL_TAGS.mask]],
  ['other', [ACL_TAGS.other]],
]);

/**
 * Turns an ACL from text into the value of its xattr, in the order that libacl gives it. Whether the
 * kernel would take it is not checked. Throws `SOURCE_DAMAGED` if it is no such text,
 * `SOURCE_UNSUPPORTED` if it names somebody by name only.
 */
export function aclFromText(place: Place, kind: 'access' | 'default', text: Buffer): Buffer {
  const entries: AclEntry[] = [];
  for (const line of text.toString('latin1').split(/[,\n]/)) {
    const entry = line.replace(/#.*/, '').trim();
    if (entry === '') continue;
    entries.push(decodeEntry(place, kind === 'default' ? entry.replace(/^d(?:efault)?:/, '') : entry));
  }
  entries.sort((a, b) => a.tag - b.tag || a.id - b.id);
  const isTwice = entries.some(
    ({ tag, id }, at) => tag === entries[at + 1]?.tag && id === entries[at + 1]?.id,
  );
  if (isTwice) throw damaged(place, 'its ACL has two entries for one user or group');
  return encodeAcl(entries);
}

function decodeEntry(place: Place, entry: string): AclEntry {
  const [first, ...rest] = entry.split(':');
  const [unnamed, named] = [...TAGS].find(([name]) => first === name || first === name[0])?.[1] ?? [];
  const [who, permissions, number] = named === undefined && rest.length === 1 ? ['', ...rest] : rest;
  const bits = decodePermissions(permissions);
  if (unnamed !== undefined && who !== undefined && bits !== undefined && rest.length <= 3) {
    if (who === '' && number === undefined) return { tag: unnamed, id: 0, permissions: bits };
    if (named !== undefined)
      return { tag: named, id: decodeId(place, entry, number ?? who), permissions: bits };
  }
  throw damaged(place, `its ACL has an entry ${shown(entry)}, which is none`);
}

function decodePermissions(text: string | undefined): number | undefined {
  if (text === undefined || !/^[r-][w-][x-]$/.test(text)) return undefined;
  return (text[0] === 'r' ? 4 : 0) | (text[1] === 'w' ? 2 : 0) | (text[2] === 'x' ? 1 : 0);
}

function decodeId(place: Place, entry: string, id: string): number {
  if (!/^\d+$/.test(id)) {
    throw unsupported(
      place,
      `its ACL names somebody without a number, ${shown(entry)}; pack it with tar --xattrs --xattrs-include='*', ` +
        'which stores ACLs by number',
    );
  }
  if (id.length > 10 || BigInt(id) > MAX_OWNER_ID)
    throw damaged(place, `its ACL has an id out of range, ${shown(entry)}`);
  return Number(id);
}

function shown(entry: string): string {
  return `"${displayBytes(Buffer.from(entry.slice(0, 100), 'latin1'))}"`;
}
