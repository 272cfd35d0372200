import { execFileSync } from 'node:child_process';
import type { Entry, InodeEntry } from '../../src/image/entry.js';
import { holesBetween, PRESERVED_FLAGS } from '../../src/image/entry.js';

/*
 * A mounted tree as the kernel shows it, in the terms of an image: what the reader of the device is compared
 * with. Node has no calls for attributes, flags and holes, Python has.
 */
const SCRIPT = `
import fcntl, hashlib, json, os, stat, struct, sys
FLAGS = 0x80086601
def flags(path):
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return struct.unpack('l', fcntl.ioctl(fd, FLAGS, b'\\0' * 8))[0]
    finally:
        os.close(fd)
def data(path, size):
    fd = os.open(path, os.O_RDONLY)
    segments, hash, at = [], hashlib.sha512(), 0
    while at < size:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            break
        end = os.lseek(fd, at, os.SEEK_HOLE)
        segments.append([at, end - at])
        while at < end:
            chunk = os.pread(fd, min(end - at, 1 << 20), at)
            hash.update(chunk)
            at += len(chunk)
    os.close(fd)
    return segments, hash.hexdigest()
def show(root, path):
    full = os.path.join(root, path) if path else root
    s = os.lstat(full)
    kind = stat.S_IFMT(s.st_mode)
    row = dict(path=path.hex(), inode=s.st_ino, kind=kind, mode=s.st_mode & 0o7777, uid=s.st_uid, gid=s.st_gid,
               mtime=str(s.st_mtime_ns), size=s.st_size, major=os.major(s.st_rdev), minor=os.minor(s.st_rdev))
    row['xattrs'] = [[os.fsencode(n).hex(), os.getxattr(full, n, follow_symlinks=False).hex()]
                     for n in os.listxattr(full, follow_symlinks=False)]
    row['flags'] = flags(full) if kind in (stat.S_IFREG, stat.S_IFDIR) else 0
    if kind == stat.S_IFREG:
        row['segments'], row['digest'] = data(full, s.st_size)
    if kind == stat.S_IFLNK:
        row['target'] = os.readlink(full).hex()
    print(json.dumps(row))
    if kind == stat.S_IFDIR:
        for name in sorted(os.listdir(full)):
            show(root, os.path.join(path, name) if path else name)
show(os.fsencode(sys.argv[1]), b'')
`;

interface Row {
  path: string;
  inode: number;
  kind: number;
  mode: number;
  uid: number;
  gid: number;
  mtime: string;
  size: number;
  major: number;
  minor: number;
  flags: number;
  xattrs: [string, string][];
  segments?: [number, number][];
  digest?: string;
  target?: string;
}

/** All entries below `root`, the root first, sorted by path components. */
export function kernelView(root: string): Entry[] {
  const output = execFileSync('python3', ['-c', SCRIPT, root], { maxBuffer: 1 << 30 }).toString();
  const rows = output
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line) as Row);
  const paths = new Map<number, Buffer[]>();
  for (const { inode, path } of rows) paths.set(inode, [...(paths.get(inode) ?? []), bytes(path)]);
  return rows.map(row => {
    const [first, ...names] = paths.get(row.inode)!;
    const path = bytes(row.path);
    return path.equals(first!) ? inodeEntry(row, path, names) : { type: 'link', path, target: first! };
  });
}

function bytes(hex: string): Buffer {
  return Buffer.from(hex, 'hex');
}

function inodeEntry(row: Row, path: Buffer, names: Buffer[]): InodeEntry {
  const { mode, uid, gid, major, minor } = row;
  const xattrs = row.xattrs.map(([name, value]) => ({ name: bytes(name), value: bytes(value) }));
  xattrs.sort((a, b) => a.name.compare(b.name));
  const metadata = { mode, uid, gid, mtime: BigInt(row.mtime), flags: row.flags & PRESERVED_FLAGS, xattrs };
  const base = { path, ...metadata, names };
  switch (row.kind) {
    case 0o040000:
      return { type: 'directory', path, ...metadata };
    case 0o120000:
      return { type: 'symlink', ...base, target: bytes(row.target!) };
    case 0o020000:
      return { type: 'character', ...base, major, minor };
    case 0o060000:
      return { type: 'block', ...base, major, minor };
    case 0o010000:
      return { type: 'fifo', ...base };
    case 0o140000:
      return { type: 'socket', ...base };
    default: {
      const size = BigInt(row.size);
      const segments = row.segments!.map(([offset, length]) => ({
        offset: BigInt(offset),
        length: BigInt(length),
      }));
      const digest = segments.length === 0 ? null : bytes(row.digest!);
      return { type: 'file', ...base, size, holes: holesBetween(size, segments), digest };
    }
  }
}
