import type { DeviceEntry, Entry, FileEntry, InodeEntry, LinkableEntry, Xattr } from '../../image/entry.js';
import { displayBytes, displayPath } from '../../image/path.js';
import { showTime } from '../../image/time.js';

/** One way in which an entry is not as it should be. */
export interface Difference {
  /** Fit to show. */
  path: string;
  /**
   * What differs: `missing`, `extra`, `type`, `mode`, `owner`, `mtime`, `flags`, `size`, `content`, `holes`,
   * `target`, `device`, `links`, `xattr NAME`; or `damaged` where the file system contradicts itself, and
   * `e2fsck` for what that found. Of what lies beside the file system only that it is not as it should be: `content`.
   */
  what: string;
  /** What is there, and what should be, where that can be said in a few words. */
  detail?: string;
}

type Add = (what: string, has?: string | number | bigint, wants?: string | number | bigint) => void;

/** All differences of two entries of the same path: what the volume has, and what it should have. */
export function compareEntries(has: Entry, wants: Entry): Difference[] {
  const differences: Difference[] = [];
  const path = displayPath(wants.path);
  const add: Add = (what, is, should) => {
    if (is === undefined || should === undefined) differences.push({ path, what });
    else differences.push({ path, what, detail: `${String(is)}, not ${String(should)}` });
  };
  if (has.type === 'link' || wants.type === 'link') compareLinks(has, wants, add);
  else if (has.type !== wants.type) add('type', has.type, wants.type);
  else compareInodes(has, wants, add);
  return differences;
}

function compareLinks(has: Entry, wants: Entry, add: Add): void {
  if (has.type === 'directory' || wants.type === 'directory') {
    add('type', has.type, wants.type);
  } else if (has.type !== 'link' || wants.type !== 'link') {
    add('links', firstName(has), firstName(wants));
  } else if (!has.target.equals(wants.target)) {
    add('links', firstName(has), firstName(wants));
  }
}

function firstName(entry: Entry): string {
  return entry.type === 'link'
    ? `a further name of ${displayPath(entry.target)}`
    : `a ${entry.type} of its own`;
}

function compareInodes(has: InodeEntry, wants: InodeEntry, add: Add): void {
  if (has.mode !== wants.mode) add('mode', octal(has.mode), octal(wants.mode));
  if (has.uid !== wants.uid || has.gid !== wants.gid) add('owner', owner(has), owner(wants));
  if (has.mtime !== wants.mtime) add('mtime', showTime(has.mtime), showTime(wants.mtime));
  if (has.flags !== wants.flags) add('flags', hex(has.flags), hex(wants.flags));
  compareXattrs(has.xattrs, wants.xattrs, add);
  if (has.type !== 'directory' && wants.type !== 'directory') compareLinkables(has, wants, add);
}

function compareLinkables(has: LinkableEntry, wants: LinkableEntry, add: Add): void {
  if (has.type === 'file' && wants.type === 'file') compareFiles(has, wants, add);
  if (has.type === 'symlink' && wants.type === 'symlink' && !has.target.equals(wants.target)) {
    add('target', displayBytes(has.target), displayBytes(wants.target));
  }
  if ('major' in has && 'major' in wants && (has.major !== wants.major || has.minor !== wants.minor)) {
    add('device', device(has), device(wants));
  }
  if (!sameNames(has.names, wants.names)) add('links', names(has), names(wants));
}

function compareFiles(has: FileEntry, wants: FileEntry, add: Add): void {
  if (has.size !== wants.size) add('size', has.size, wants.size);
  const holes = (file: FileEntry): string =>
    file.holes.map(({ start, count }) => `${String(start)}+${String(count)}`).join(' ') || 'none';
  const [hasHoles, wantsHoles] = [holes(has), holes(wants)];
  if (hasHoles !== wantsHoles) {
    const short = hasHoles.length + wantsHoles.length < 200;
    if (short) add('holes', hasHoles, wantsHoles);
    else add('holes');
  }
  const same = has.digest === null ? wants.digest === null : wants.digest?.equals(has.digest) === true;
  if (!same) add('content');
}

function compareXattrs(has: readonly Xattr[], wants: readonly Xattr[], add: Add): void {
  const [left, right] = [byName(has), byName(wants)];
  for (const name of [...new Set([...left.keys(), ...right.keys()])].sort()) {
    const [is, should] = [left.get(name), right.get(name)];
    if (is !== undefined && should !== undefined && is.value.equals(should.value)) continue;
    const what = `xattr ${displayBytes((is ?? should)!.name)}`;
    if (is === undefined) add(what, 'missing', 'there');
    else if (should === undefined) add(what, 'there', 'missing');
    else add(what);
  }
}

/** Names are bytes, which Latin-1 keeps apart. */
function byName(xattrs: readonly Xattr[]): Map<string, Xattr> {
  return new Map(xattrs.map(xattr => [xattr.name.toString('latin1'), xattr]));
}

function sameNames(a: readonly Buffer[], b: readonly Buffer[]): boolean {
  return a.length === b.length && a.every((name, index) => name.equals(b[index]!));
}

function names(entry: LinkableEntry): string {
  return `${String(entry.names.length + 1)} names`;
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

function hex(flags: number): string {
  return `0x${flags.toString(16)}`;
}

function owner({ uid, gid }: InodeEntry): string {
  return `${String(uid)}:${String(gid)}`;
}

function device({ major, minor }: DeviceEntry): string {
  return `${String(major)}:${String(minor)}`;
}
