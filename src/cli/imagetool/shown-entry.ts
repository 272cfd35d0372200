import type { Entry, InodeEntry } from '../../image/entry.js';
import { displayBytes, displayPath } from '../../image/path.js';
import { showTime } from '../../image/time.js';

/** An entry of an image as it is printed. */
export interface ShownEntry {
  path: string;
  type: Entry['type'];
  /** Octal. */
  mode?: string;
  uid?: number;
  gid?: number;
  /** Seconds since 1970, with nine decimals. */
  mtime?: string;
  /** The other names of a file with hard links. */
  names?: string[];
  size?: bigint;
  /** In blocks of 4096 bytes. */
  holes?: { start: bigint; count: bigint }[];
  digest?: string | null;
  target?: string;
  device?: string;
  flags?: number;
  /** Values in hex. */
  xattrs?: { name: string; value: string }[];
}

export function toShownEntry(entry: Entry): ShownEntry {
  const path = displayPath(entry.path);
  if (entry.type === 'link') return { path, type: entry.type, target: displayPath(entry.target) };
  const { type, uid, gid, flags, xattrs } = entry;
  return {
    path,
    type,
    mode: entry.mode.toString(8).padStart(4, '0'),
    uid,
    gid,
    mtime: showTime(entry.mtime),
    ...specificsOf(entry),
    ...('names' in entry && entry.names.length > 0 && { names: entry.names.map(displayPath) }),
    ...(flags !== 0 && { flags }),
    ...(xattrs.length > 0 && {
      xattrs: xattrs.map(({ name, value }) => ({ name: displayBytes(name), value: value.toString('hex') })),
    }),
  };
}

function specificsOf(entry: InodeEntry): Partial<ShownEntry> {
  switch (entry.type) {
    case 'file': {
      const holes = entry.holes.length === 0 ? {} : { holes: [...entry.holes] };
      return { size: entry.size, digest: entry.digest?.toString('hex') ?? null, ...holes };
    }
    case 'symlink':
      return { target: displayBytes(entry.target) };
    case 'character':
    case 'block':
      return { device: `${String(entry.major)}:${String(entry.minor)}` };
    case 'directory':
    case 'fifo':
    case 'socket':
      return {};
  }
}
