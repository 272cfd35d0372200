import { ImageUnpackerError } from '../../image/error.js';

/*
 * Writes a FAT32 file system (Microsoft's "FAT32 File System Specification", version 1.03), little endian:
 *
 *   volume    = reserved FAT FAT data                      the FATs are the same
 *   reserved  = boot info zeros{4} boot info zeros*        sectors; the second pair is a copy
 *   FAT       = u32 for each cluster: the next one of its file, or 0FFFFFFF at the end; the first two are reserved
 *   data      = clusters from number 2 on, which is the root directory
 *   directory = entries of 32 bytes; one with a long name has it in entries before it, the last part first
 *
 * All is a function of what is asked for: files lie in the order of their names, each in one piece, and all times
 * are the first that FAT knows. So the same files make the same bytes everywhere, which no tool promises.
 */

/** A file that the file system is to have. */
export interface FatFile {
  /** Names from the root, separated by `/`, of letters, digits and what else FAT allows. */
  path: string;
  bytes: Buffer;
}

/** What the file system is to be. */
export interface FatVolume {
  /** Of the partition, in bytes. */
  size: number;
  /** Where the partition begins, in sectors. */
  firstSector: number;
  serial: number;
  /** At most 11 characters. */
  label: string;
  files: readonly FatFile[];
}

const SECTOR = 512;
const LEAST_RESERVED = 32;
const BACKUP_SECTOR = 6;
/** With fewer clusters it would be FAT16. */
const LEAST_CLUSTERS = 65_525;
const MOST_CLUSTERS = 0x0fff_fff5;
const END_OF_FILE = 0x0fff_ffff;
const ROOT_CLUSTER = 2;
/** Clusters are a sector up to this size, as is usual, and a block of other file systems above. */
const SMALL_BYTES = 260 << 20;
const ENTRY = 32;
const LONG_NAME_CHARACTERS = 13;
const MOST_NAME_CHARACTERS = 255;
const ATTRIBUTE = { label: 0x08, directory: 0x10, archive: 0x20, longName: 0x0f };
/** The first of January 1980: (year - 1980) << 9 | month << 5 | day. */
const FIRST_DATE = (1 << 5) | 1;
const SHORT_NAME = /^[A-Z0-9!#$%&'()@^_`{}~-]{1,8}(\.[A-Z0-9!#$%&'()@^_`{}~-]{1,3})?$/;
const LONG_NAME = /^[^\0-\x1f"*/:<>?\\|\x7f-\uffff]*[^\0-\x1f"*/:<>?\\|\x7f-\uffff .]$/;

interface Geometry {
  sectors: number;
  perCluster: number;
  reserved: number;
  fatSectors: number;
  clusters: number;
}

interface Directory {
  name: string;
  children: Map<string, Directory | FatFile>;
}

/**
 * The bytes of a FAT32 file system up to the last cluster in use; all behind them is zeros. Throws `NO_SPACE` when
 * the files do not fit, naming the size that would do, and `IMAGE_UNSUPPORTED` for a name that FAT cannot have.
 */
export function encodeFat32(volume: FatVolume): Buffer {
  const geometry = geometryOf(volume.size);
  const root = treeOf(volume.files);
  const clusterBytes = geometry.perCluster * SECTOR;
  const writer = new ClusterWriter(clusterBytes);
  writeDirectory(writer, root, { own: writer.reserve(directoryBytes(root, true)), parent: 0 }, volume.label);
  if (writer.used > geometry.clusters) throw tooSmall(volume, writer.used * clusterBytes);
  return Buffer.concat([
    reservedSectors(volume, geometry, writer.used),
    ...[0, 1].map(() => fatOf(geometry, writer.chains)),
    writer.take(),
  ]);
}

function geometryOf(size: number): Geometry {
  const sectors = Math.floor(size / SECTOR);
  const perCluster = size <= SMALL_BYTES ? 1 : 8;
  // A little more than is needed; the reserved sectors are then filled up to a whole block.
  const fatSectors = Math.ceil(((Math.ceil(sectors / perCluster) + 2) * 4) / SECTOR);
  const reserved = Math.ceil((LEAST_RESERVED + 2 * fatSectors) / 8) * 8 - 2 * fatSectors;
  const clusters = Math.floor((sectors - reserved - 2 * fatSectors) / perCluster);
  if (clusters >= LEAST_CLUSTERS && clusters <= MOST_CLUSTERS)
    return { sectors, perCluster, reserved, fatSectors, clusters };
  const message = `An EFI system partition has 34 MiB at the least and 2 TiB at the most, not ${String(size)} bytes`;
  throw new ImageUnpackerError('USAGE', message);
}

function treeOf(files: readonly FatFile[]): Directory {
  const root: Directory = { name: '', children: new Map() };
  for (const file of files) {
    const names = file.path.split('/');
    let directory = root;
    for (const [at, name] of names.entries()) {
      if (!LONG_NAME.test(name) || name.length > MOST_NAME_CHARACTERS)
        throw unsupported(file.path, 'has a name that FAT cannot have');
      const key = name.toUpperCase();
      const found = directory.children.get(key);
      if (at === names.length - 1) {
        if (found !== undefined)
          throw unsupported(file.path, 'is there twice, for FAT knows no upper and lower case');
        directory.children.set(key, { path: name, bytes: file.bytes });
      } else if (found === undefined) {
        const made: Directory = { name, children: new Map() };
        directory.children.set(key, made);
        directory = made;
      } else if ('children' in found) directory = found;
      else throw unsupported(file.path, 'lies below a file');
    }
  }
  return root;
}

/** The names of a directory in order, with what FAT calls them besides. */
function namesOf({
  children,
}: Directory): { name: string; short: Buffer; long: boolean; node: Directory | FatFile }[] {
  const taken = new Set([...children.keys()].filter(key => SHORT_NAME.test(key)));
  return [...children.keys()].sort().map(key => {
    const node = children.get(key)!;
    const name = 'children' in node ? node.name : node.path;
    if (SHORT_NAME.test(name)) return { name, short: shortName(name), long: false, node };
    return { name, short: shortName(SHORT_NAME.test(key) ? key : aliasOf(key, taken)), long: true, node };
  });
}

/** A short name that no other of the directory has: `LONGNA~1.EXT`. */
function aliasOf(key: string, taken: Set<string>): string {
  const dot = key.lastIndexOf('.');
  const plain = (text: string): string => text.replace(/[^A-Z0-9]/g, '_');
  const base = plain(dot > 0 ? key.slice(0, dot) : key);
  const extension = dot > 0 ? `.${plain(key.slice(dot + 1)).slice(0, 3)}` : '';
  for (let number = 1; ; number++) {
    const tail = `~${String(number)}`;
    const alias = `${base.slice(0, 8 - tail.length)}${tail}${extension}`;
    if (taken.has(alias)) continue;
    taken.add(alias);
    return alias;
  }
}

function shortName(name: string): Buffer {
  const [base = '', extension = ''] = name.split('.');
  return Buffer.from(base.padEnd(8) + extension.padEnd(3), 'latin1');
}

function directoryBytes(directory: Directory, isRoot: boolean): number {
  const entries = namesOf(directory).map(({ name, long }) => 1 + (long ? longEntries(name) : 0));
  return ENTRY * entries.reduce((sum, count) => sum + count, isRoot ? 1 : 2);
}

function longEntries(name: string): number {
  return Math.ceil(name.length / LONG_NAME_CHARACTERS);
}

/** Gives out clusters one behind the other. */
class ClusterWriter {
  /** First cluster and count of each file and directory. */
  readonly chains: { first: number; count: number }[] = [];
  readonly #clusterBytes: number;
  readonly #data: { at: number; bytes: Buffer }[] = [];
  #used = 0;

  constructor(clusterBytes: number) {
    this.#clusterBytes = clusterBytes;
  }

  get used(): number {
    return this.#used;
  }

  /** Clusters for so many bytes; 0, which is none, for no bytes. */
  reserve(bytes: number): number {
    if (bytes === 0) return 0;
    const first = ROOT_CLUSTER + this.#used;
    const count = Math.ceil(bytes / this.#clusterBytes);
    this.#used += count;
    this.chains.push({ first, count });
    return first;
  }

  put(cluster: number, bytes: Buffer): void {
    if (cluster !== 0) this.#data.push({ at: (cluster - ROOT_CLUSTER) * this.#clusterBytes, bytes });
  }

  take(): Buffer {
    const all = Buffer.alloc(this.#used * this.#clusterBytes);
    for (const { at, bytes } of this.#data) bytes.copy(all, at);
    return all;
  }
}

function writeDirectory(
  writer: ClusterWriter,
  directory: Directory,
  { own, parent }: { own: number; parent: number },
  label?: string,
): void {
  const entries: Buffer[] = [];
  if (label === undefined) {
    entries.push(entryOf(Buffer.from('.'.padEnd(11)), ATTRIBUTE.directory, own, 0));
    entries.push(
      entryOf(Buffer.from('..'.padEnd(11)), ATTRIBUTE.directory, parent === ROOT_CLUSTER ? 0 : parent, 0),
    );
  } else entries.push(entryOf(Buffer.from(label.padEnd(11).slice(0, 11)), ATTRIBUTE.label, 0, 0));
  for (const { name, short, long, node } of namesOf(directory)) {
    if (long) entries.push(longName(name, short));
    if ('children' in node) {
      const cluster = writer.reserve(directoryBytes(node, false));
      entries.push(entryOf(short, ATTRIBUTE.directory, cluster, 0));
      writeDirectory(writer, node, { own: cluster, parent: own });
    } else {
      const cluster = writer.reserve(node.bytes.length);
      entries.push(entryOf(short, ATTRIBUTE.archive, cluster, node.bytes.length));
      writer.put(cluster, node.bytes);
    }
  }
  writer.put(own, Buffer.concat(entries));
}

function entryOf(name: Buffer, attribute: number, cluster: number, size: number): Buffer {
  const entry = Buffer.alloc(ENTRY);
  name.copy(entry);
  entry[11] = attribute;
  for (const at of [16, 18, 24]) entry.writeUInt16LE(FIRST_DATE, at);
  entry.writeUInt16LE(cluster >>> 16, 20);
  entry.writeUInt16LE(cluster & 0xffff, 26);
  entry.writeUInt32LE(size, 28);
  return entry;
}

/** The entries that hold a long name, which carry a checksum of the short one. */
function longName(name: string, short: Buffer): Buffer {
  const check = short.reduce((sum, byte) => (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff, 0);
  const count = longEntries(name);
  const entries: Buffer[] = [];
  for (let part = count; part >= 1; part--) {
    const start = (part - 1) * LONG_NAME_CHARACTERS;
    const text = name.slice(start, start + LONG_NAME_CHARACTERS);
    const characters = Buffer.alloc(LONG_NAME_CHARACTERS * 2, 0xff);
    Buffer.from(text.length < LONG_NAME_CHARACTERS ? `${text}\0` : text, 'utf16le').copy(characters);
    const entry = Buffer.alloc(ENTRY);
    entry[0] = part | (part === count ? 0x40 : 0);
    characters.copy(entry, 1, 0, 10);
    entry[11] = ATTRIBUTE.longName;
    entry[13] = check;
    characters.copy(entry, 14, 10, 22);
    characters.copy(entry, 28, 22, 26);
    entries.push(entry);
  }
  return Buffer.concat(entries);
}

function fatOf({ fatSectors }: Geometry, chains: readonly { first: number; count: number }[]): Buffer {
  const fat = Buffer.alloc(fatSectors * SECTOR);
  fat.writeUInt32LE(0x0fff_fff8, 0);
  fat.writeUInt32LE(END_OF_FILE, 4);
  for (const { first, count } of chains) {
    for (let at = 0; at < count; at++) {
      fat.writeUInt32LE(at === count - 1 ? END_OF_FILE : first + at + 1, (first + at) * 4);
    }
  }
  return fat;
}

function reservedSectors(
  { firstSector, serial, label }: FatVolume,
  geometry: Geometry,
  used: number,
): Buffer {
  const boot = Buffer.alloc(SECTOR);
  boot.set([0xeb, 0x58, 0x90]);
  boot.write('MSWIN4.1', 3, 'latin1');
  boot.writeUInt16LE(SECTOR, 11);
  boot[13] = geometry.perCluster;
  boot.writeUInt16LE(geometry.reserved, 14);
  boot[16] = 2;
  boot[21] = 0xf8;
  boot.writeUInt16LE(63, 24);
  boot.writeUInt16LE(255, 26);
  boot.writeUInt32LE(firstSector, 28);
  boot.writeUInt32LE(geometry.sectors, 32);
  boot.writeUInt32LE(geometry.fatSectors, 36);
  boot.writeUInt32LE(ROOT_CLUSTER, 44);
  boot.writeUInt16LE(1, 48);
  boot.writeUInt16LE(BACKUP_SECTOR, 50);
  boot[64] = 0x80;
  boot[66] = 0x29;
  boot.writeUInt32LE(serial, 67);
  boot.write(label.padEnd(11).slice(0, 11), 71, 'latin1');
  boot.write('FAT32   ', 82, 'latin1');
  boot.writeUInt16LE(0xaa55, 510);
  const info = Buffer.alloc(SECTOR);
  info.writeUInt32LE(0x4161_5252, 0);
  info.writeUInt32LE(0x6141_7272, 484);
  info.writeUInt32LE(geometry.clusters - used, 488);
  info.writeUInt32LE(ROOT_CLUSTER + used, 492);
  info.writeUInt32LE(0xaa55_0000, 508);
  const sectors = Buffer.alloc(geometry.reserved * SECTOR);
  for (const at of [0, BACKUP_SECTOR]) {
    boot.copy(sectors, at * SECTOR);
    info.copy(sectors, (at + 1) * SECTOR);
  }
  return sectors;
}

function unsupported(path: string, what: string): ImageUnpackerError {
  return new ImageUnpackerError('IMAGE_UNSUPPORTED', `The file ${path} of the EFI system partition ${what}`, {
    path,
  });
}

function tooSmall({ size, files }: FatVolume, bytes: number): ImageUnpackerError {
  const needed = Math.ceil((bytes * 1.03) / (1 << 20)) + 2;
  const what = `The EFI system partition of ${String(size)} bytes is too small for its ${String(files.length)} files`;
  return new ImageUnpackerError(
    'NO_SPACE',
    `${what}: make the volume anew with --esp-size ${String(needed)}MiB`,
    {
      needed: needed * (1 << 20),
      available: size,
    },
  );
}
