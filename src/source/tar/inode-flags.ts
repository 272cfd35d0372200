import { INODE_FLAGS } from '../../image/entry.js';
import { displayBytes } from '../../image/path.js';
import { unsupported, type Place } from './fault.js';

/*
 * SCHILY.fflags: names of inode flags with commas between, as libarchive and star write them on Linux
 * ("sappnd,nodump"). Both know several names for a flag, and star uses the BSD names of the owner's
 * flags ("uchg") for the same bits. A "no" in front of a flag says that it is not set.
 */

const NAMES = new Map<string, number>([
  ['schg', INODE_FLAGS.immutable],
  ['schange', INODE_FLAGS.immutable],
  ['simmutable', INODE_FLAGS.immutable],
  ['immutable', INODE_FLAGS.immutable],
  ['uchg', INODE_FLAGS.immutable],
  ['uchange', INODE_FLAGS.immutable],
  ['uimmutable', INODE_FLAGS.immutable],
  ['sappnd', INODE_FLAGS.append],
  ['sappend', INODE_FLAGS.append],
  ['append', INODE_FLAGS.append],
  ['uappnd', INODE_FLAGS.append],
  ['uappend', INODE_FLAGS.append],
  ['nodump', INODE_FLAGS.nodump],
  ['noatime', INODE_FLAGS.noatime],
  ['sync', INODE_FLAGS.sync],
  ['dirsync', INODE_FLAGS.dirsync],
]);

/** Flags that say how a file system keeps an inode, and hints to it: an image holds none of them. */
const STORAGE = new Set([
  'arch',
  'archived',
  'sarch',
  'compress',
  'extent',
  'journal',
  'journal-data',
  'nocow',
  'notail',
  'projinherit',
  'secdel',
  'securedeletion',
  'topdir',
  'undel',
  'sunlnk',
  'sunlink',
  'uunlnk',
  'uunlink',
]);

/** The bits of the flags that `text` names. Throws `SOURCE_UNSUPPORTED` for a name that is not known. */
export function decodeFlags(place: Place, text: Buffer): number {
  let flags = 0;
  for (const name of text.toString('latin1').split(/[,\s]+/)) {
    if (name === '' || STORAGE.has(name) || isCleared(name)) continue;
    const flag = NAMES.get(name);
    if (flag === undefined)
      throw unsupported(place, `it has the flag ${shown(name)}, of which no image knows`);
    flags |= flag;
  }
  return flags;
}

function isCleared(name: string): boolean {
  if (name === 'dump' || name === 'atime') return true;
  const positive = name.startsWith('no') && !NAMES.has(name) ? name.slice(2) : '';
  return NAMES.has(positive) || STORAGE.has(positive);
}

function shown(name: string): string {
  return displayBytes(Buffer.from(name.slice(0, 100), 'latin1'));
}
