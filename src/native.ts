import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { cancelled, throwIfAborted } from './image/error.js';
import type { IndexedPage } from './image/packing.js';

/*
 * The C++ addon, typed. It is mechanism only: each function is a few system calls over descriptors and
 * packed buffers, whose grammars stand at the head of the files in native/. A failure is an error shaped
 * like Node's own: `code`, `errno`, `syscall`, and `path` as bytes.
 */

interface Addon {
  blockDeviceSize(fd: number): bigint;
  isReadOnly(fd: number): boolean;
  flushBuffers(fd: number): void;
  punchZeros(fd: number, length: bigint): Promise<boolean>;
  makeFileSystem(device: number, command: string[], control: Control): Promise<ToolOutcome>;
  mount(type: string, source: string, readOnly: boolean, options: string[]): Promise<DetachedMount>;
  unmount(mount: number, root: number): Promise<void>;
  syncFileSystem(fd: number): Promise<void>;
  scanTree(root: number, detailed: boolean, control: Control): Promise<Buffer>;
  scanPaths(root: number, paths: Buffer, control: Control): Promise<Buffer>;
  scanDevice(device: number, control: Control): Promise<Buffer>;
  ingestFiles(
    root: number,
    files: Buffer,
    objects: number,
    temporary: number,
    control: Control,
  ): Promise<Buffer>;
  readFiles(root: number, files: Buffer, control: Control): Promise<Buffer[]>;
  openFile(root: number, file: Buffer, control: Control): Promise<number>;
  objectSizes(objects: number, digests: Buffer, control: Control): Promise<Buffer>;
  storeObjects(
    objects: number,
    temporary: number,
    digests: Buffer,
    bytes: readonly Buffer[],
    control: Control,
  ): Promise<Buffer>;
  createHash(): object;
  updateHash(hash: object, bytes: Buffer): Promise<void>;
  appendRanges(hash: object, from: number, to: number, ranges: Buffer, control: Control): Promise<void>;
  finishHash(hash: object): Buffer;
  checkObjects(objects: number, digests: Buffer, sparse: boolean, control: Control): Promise<Buffer>;
  readObjects(objects: number, digests: Buffer, limit: number, control: Control): Promise<Buffer[]>;
  readParts(file: number, parts: Buffer, control: Control): Promise<Buffer[]>;
  comparePages(have: IndexedPage[], want: IndexedPage[], control: Control): Promise<Buffer>;
  matchPages(have: IndexedPage[], want: IndexedPage[], control: Control): Promise<Buffer>;
  matchScan(scan: Buffer, pages: IndexedPage[], tables: Buffer[], control: Control): Promise<Buffer>;
  findPaths(pages: IndexedPage[], paths: Buffer, control: Control): Promise<Buffer>;
  findBelow(pages: IndexedPage[], paths: Buffer, control: Control): Promise<Buffer>;
  createNewData(): object;
  addNewData(data: object, have: IndexedPage[], want: IndexedPage[], control: Control): Promise<void>;
  endNewData(data: object, control: Control): Promise<Buffer | undefined>;
  lookForNewData(data: object, pages: IndexedPage[], control: Control): Promise<void>;
  countNewData(data: object): Buffer;
  compareContent(root: number, files: Buffer, objects: number, control: Control): Promise<Buffer>;
  locatePaths(root: number, paths: Buffer, control: Control): Promise<Buffer>;
  runBatch(
    root: number,
    batch: Buffer,
    objects: number,
    others: number,
    threads: number,
    control: Control,
  ): Promise<Buffer>;
  attachLoop(
    file: number,
    name: string,
    offset: bigint,
    length: bigint,
    readOnly: boolean,
  ): Promise<LoopDevice>;
  changePartition(disk: number, change: PartitionChange, number: number, start: bigint, length: bigint): void;
  peerUser(fd: number): number;
  sendDatagram(path: string, text: string): void;
}

/** Three words that the work reads and writes while it runs: cancel, items done, bytes done. */
type Control = BigUint64Array;

/** What a tool said and how it ended: its exit status, or 128 and the number of the signal. */
export interface ToolOutcome {
  status: number;
  output: string;
}

/** A mount that has no place in any tree. Both descriptors are the holder's to close, by `unmount`. */
export interface DetachedMount {
  mount: number;
  /** The root directory, open: paths beneath it are reached from here. */
  root: number;
}

/** A file as a block device. It is one until the descriptor, and every other of the device, is closed. */
export interface LoopDevice {
  fd: number;
  path: string;
}

/** A system call of the addon that failed. */
export interface NativeError extends Error {
  code: string;
  errno: number;
  syscall: string;
  path?: Buffer;
  detail?: string;
}

/** How work off the main thread is watched and stopped. */
export interface Watch {
  signal?: AbortSignal | undefined;
  /** Told now and then what has been done so far. */
  onProgress?: ((items: number, bytes: number) => void) | undefined;
}

/** Often enough for a bar that moves smoothly, seldom enough to cost nothing. */
const PROGRESS_MILLISECONDS = 100;

const addon = createRequire(import.meta.url)('#addon') as Addon;

/** Errors of Linux that Node has no name for (ESTALE, EBADMSG, EDQUOT …), and one that it has not at all. */
const OTHER_ERRORS = new Map(
  Object.entries({ ...constants.errno, EUCLEAN: 117 }).map(([name, number]) => [number, name]),
);

/** Whether `reason` came from a system call of the addon. */
export function isNativeError(reason: unknown): reason is NativeError {
  return reason instanceof Error && 'syscall' in reason && 'errno' in reason;
}

function named(reason: unknown): unknown {
  if (!isNativeError(reason)) return reason;
  const [code, words] = getSystemErrorMap().get(-reason.errno) ?? [OTHER_ERRORS.get(reason.errno)];
  reason.code = code ?? `errno ${String(reason.errno)}`;
  if (reason.code === 'ECANCELED') return cancelled();
  reason.message = `${reason.code}: ${words === undefined ? '' : `${words}, `}${reason.syscall}`;
  return reason;
}

function atOnce<T>(call: () => T): T {
  try {
    return call();
  } catch (reason) {
    throw named(reason);
  }
}

async function watched<T>(watch: Watch, call: (control: Control) => Promise<T>): Promise<T> {
  throwIfAborted(watch.signal);
  const control = new BigUint64Array(3);
  const cancel = (): void => {
    control[0] = 1n;
  };
  watch.signal?.addEventListener('abort', cancel, { once: true });
  const tell = (): void => watch.onProgress?.(Number(control[1]), Number(control[2]));
  const timer = watch.onProgress && setInterval(tell, PROGRESS_MILLISECONDS);
  try {
    const result = await call(control);
    tell();
    return result;
  } catch (reason) {
    throw named(reason);
  } finally {
    clearInterval(timer);
    watch.signal?.removeEventListener('abort', cancel);
  }
}

/** Size of an open block device in bytes (BLKGETSIZE64). */
export function blockDeviceSize(fd: number): bigint {
  return atOnce(() => addon.blockDeviceSize(fd));
}

/** Whether an open block device refuses writes (BLKROGET). */
export function isReadOnly(fd: number): boolean {
  return atOnce(() => addon.isReadOnly(fd));
}

/** Writes and drops what the kernel caches of an open block device (BLKFLSBUF). */
export function flushBuffers(fd: number): void {
  atOnce(() => {
    addon.flushBuffers(fd);
  });
}

/** Makes the first `length` bytes of a device read as zeros if it can do so itself; resolves to whether it did. */
export async function punchZeros(fd: number, length: bigint): Promise<boolean> {
  return watched({}, () => addon.punchZeros(fd, length));
}

/**
 * Runs `command` with the device open as its descriptor 3, and resolves to how it ended. Rejects with
 * `ENOENT` when there is no such tool.
 */
export async function makeFileSystem(device: number, command: string[], watch: Watch): Promise<ToolOutcome> {
  return watched(watch, control => addon.makeFileSystem(device, command, control));
}

/** Mounts a file system with no mount point: nosuid, nodev, noexec, noatime. */
export async function mount(
  type: string,
  source: string,
  readOnly: boolean,
  options: string[],
): Promise<DetachedMount> {
  return watched({}, () => addon.mount(type, source, readOnly, options));
}

/** Closes a mount. It is gone from the device when nothing else holds it: see `proveUnmounted`. */
export async function unmount(mounted: DetachedMount): Promise<void> {
  return watched({}, () => addon.unmount(mounted.mount, mounted.root));
}

/** Makes all of the file system that `fd` is on durable (syncfs). */
export async function syncFileSystem(fd: number): Promise<void> {
  return watched({}, () => addon.syncFileSystem(fd));
}

/** Walks the tree of the directory `root`; resolves to the packed scan (native/scan.cc). */
export async function scanTree(root: number, detailed: boolean, watch: Watch): Promise<Buffer> {
  return watched(watch, control => addon.scanTree(root, detailed, control));
}

/** The detailed records of some paths beneath `root`, packed like a scan. */
export async function scanPaths(root: number, paths: Buffer, watch: Watch): Promise<Buffer> {
  return watched(watch, control => addon.scanPaths(root, paths, control));
}

/**
 * Scans, without detail, the tree of the ext4 file system on an open device that is not mounted (native/scan-device.cc).
 * Rejects with `EUCLEAN` where that is not of a kind that is understood, or not in order.
 */
export async function scanDevice(device: number, watch: Watch): Promise<Buffer> {
  return watched(watch, control => addon.scanDevice(device, control));
}

/** Where objects are stored: open directories. */
export interface ObjectDirectories {
  objects: number;
  temporary: number;
}

/**
 * Hashes the packed `files` beneath `root`, and stores their data as objects when directories are given
 * (native/ingest.cc). Rejects with `ESTALE` and the path if a file is not as it was scanned.
 */
export async function ingestFiles(
  root: number,
  files: Buffer,
  directories: ObjectDirectories | undefined,
  watch: Watch,
): Promise<Buffer> {
  const { objects, temporary } = directories ?? { objects: -1, temporary: -1 };
  return watched(watch, control => addon.ingestFiles(root, files, objects, temporary, control));
}

/** The data of packed files beneath `root`, all of it in memory. Rejects as `ingestFiles` does. */
export async function readFiles(root: number, files: Buffer, watch: Watch): Promise<Buffer[]> {
  return watched(watch, control => addon.readFiles(root, files, control));
}

/** Opens a packed file beneath `root`; the descriptor is the caller's to close. Rejects as `ingestFiles` does. */
export async function openFile(root: number, file: Buffer): Promise<number> {
  return watched({}, control => addon.openFile(root, file, control));
}

/** Where a size would be of an object that is not there. */
const NONE = 0xffff_ffff_ffff_ffffn;

/** The size of each object in a directory of them in bytes; undefined of one that is not there (native/store.cc). */
export async function objectSizes(
  objects: number,
  digests: readonly Buffer[],
): Promise<(number | undefined)[]> {
  const packed = await watched({}, control => addon.objectSizes(objects, Buffer.concat(digests), control));
  return digests.map((_, at) => {
    const size = packed.readBigUInt64LE(at * 8);
    return size === NONE ? undefined : Number(size);
  });
}

/**
 * Keeps objects whose bytes are in memory, each under its digest if it has that; what is there already is compared, and
 * mended. Resolves to an outcome of each: 0 it was there, 1 it was added, 2 it has another digest (native/store.cc).
 */
export async function storeObjects(
  { objects, temporary }: ObjectDirectories,
  digests: Buffer,
  bytes: readonly Buffer[],
): Promise<Buffer> {
  return watched({}, control => addon.storeObjects(objects, temporary, digests, bytes, control));
}

/** The SHA-512 of what comes bit by bit, made off the main thread. */
export class BackgroundHash {
  readonly #hash = addon.createHash();

  /** Hashes more, which must not change before it resolves. One call at a time. */
  async update(bytes: Buffer): Promise<void> {
    await addon.updateHash(this.#hash, bytes);
  }

  /**
   * Appends packed ranges of an open file to another one (native/store.cc), and hashes them. One call at a time. Rejects with `EBADMSG`
   * where the file ends before.
   */
  async append(from: number, to: number, ranges: Buffer): Promise<void> {
    await watched({}, control => addon.appendRanges(this.#hash, from, to, ranges, control));
  }

  /** The digest of all of it. It ends the hash. */
  digest(): Buffer {
    return addon.finishHash(this.#hash);
  }
}

/** Reads and hashes objects; resolves to the packed checks (native/check.cc), about zeros only if `sparse`. */
export async function checkObjects(
  objects: number,
  digests: Buffer,
  sparse: boolean,
  watch: Watch,
): Promise<Buffer> {
  return watched(watch, control => addon.checkObjects(objects, digests, sparse, control));
}

/**
 * Reads objects of at most `limit` bytes in the order asked, each of which has its digest (native/read.cc). Rejects
 * with the path of one that is not good: `ENOENT`, `ELOOP` and `ENXIO` (no file), `EFBIG`, `EBADMSG` (another
 * digest).
 */
export async function readObjects(objects: number, digests: Buffer, limit: number): Promise<Buffer[]> {
  return watched({}, control => addon.readObjects(objects, digests, limit, control));
}

/**
 * Reads packed parts of an open file in the order asked, each of which has its digest (native/read.cc). Rejects with
 * `EBADMSG`, and the offset as the detail, when one has another.
 */
export async function readParts(file: number, parts: Buffer): Promise<Buffer[]> {
  return watched({}, control => addon.readParts(file, parts, control));
}

/** Compares two runs of manifest pages; resolves to the packed differences (native/diff.cc). */
export async function comparePages(have: IndexedPage[], want: IndexedPage[], watch: Watch): Promise<Buffer> {
  return watched(watch, control => addon.comparePages(have, want, control));
}

/** Finds for each entry of the pages `want` the one in `have` with its path (native/diff.cc). */
export async function matchPages(have: IndexedPage[], want: IndexedPage[], watch: Watch): Promise<Buffer> {
  return watched(watch, control => addon.matchPages(have, want, control));
}

/** Finds the pages whose entries are as a scan without detail found them, by their inode tables (native/match-scan.cc). */
export async function matchScan(
  scan: Buffer,
  pages: IndexedPage[],
  tables: Buffer[],
  watch: Watch,
): Promise<Buffer> {
  return watched(watch, control => addon.matchScan(scan, pages, tables, control));
}

/** Finds where in `pages` the entries of some paths are, packed and ascending (native/diff.cc). */
export async function findPaths(pages: IndexedPage[], paths: Buffer, watch: Watch): Promise<Buffer> {
  return watched(watch, control => addon.findPaths(pages, paths, control));
}

/** Finds whether `pages` have entries below some paths, packed and ascending (native/diff.cc). */
export async function findBelow(pages: IndexedPage[], paths: Buffer, watch: Watch): Promise<Buffer> {
  return watched(watch, control => addon.findBelow(pages, paths, control));
}

/** Counts the bytes of file data that one image has and another has nowhere (native/new-data.cc). One call at a time. */
export class NewDataCount {
  readonly #data = addon.createNewData();

  /** Takes in pages of both images that cover the same paths. */
  async add(have: IndexedPage[], want: IndexedPage[], watch: Watch): Promise<void> {
    await watched(watch, control => addon.addNewData(this.#data, have, want, control));
  }

  /** Ends that. Resolves to the packed numbers of pages that must be looked in, undefined where none has to be. */
  async end(watch: Watch): Promise<Buffer | undefined> {
    return watched(watch, control => addon.endNewData(this.#data, control));
  }

  /** Looks for data in pages of the image that may have it. */
  async lookIn(pages: IndexedPage[], watch: Watch): Promise<void> {
    await watched(watch, control => addon.lookForNewData(this.#data, pages, control));
  }

  /** The packed number of bytes that were not found. */
  bytes(): Buffer {
    return addon.countNewData(this.#data);
  }
}

/** Counts for files beneath `root` the clusters in which they differ from objects (native/compare.cc). */
export async function compareContent(
  root: number,
  files: Buffer,
  objects: number,
  watch: Watch,
): Promise<Buffer> {
  return watched(watch, control => addon.compareContent(root, files, objects, control));
}

/** Where on the device the data of some packed paths beneath `root` lies (native/locate.cc). */
export async function locatePaths(root: number, paths: Buffer, watch: Watch): Promise<Buffer> {
  return watched(watch, control => addon.locatePaths(root, paths, control));
}

/**
 * Runs a packed batch of operations beneath `root`; resolves to its packed reports (native/patch.cc). What is not
 * in the directory `objects` is looked for in `others`. With `threads`, so many write the content of new files
 * meanwhile; without, one thing is done after the other.
 */
export async function runBatch(
  root: number,
  batch: Buffer,
  objects: number,
  watch: Watch,
  { others = -1, threads = 0 } = {},
): Promise<Buffer> {
  return watched(watch, control => addon.runBatch(root, batch, objects, others, threads, control));
}

/** A part of a file that becomes a device. */
export interface LoopPart {
  offset: bigint;
  length: bigint;
  readOnly: boolean;
}

/** Attaches the open file, or a part of it, to a free loop device. `name` is what `losetup` shows of it. */
export async function attachLoop(file: number, name: string, part?: LoopPart): Promise<LoopDevice> {
  const { offset, length, readOnly } = part ?? { offset: 0n, length: 0n, readOnly: false };
  return watched({}, () => addon.attachLoop(file, name, offset, length, readOnly));
}

/** What the kernel is to know of a partition from now on. */
export type PartitionChange = 'add' | 'resize' | 'delete';

/** Changes what the kernel knows of one partition of an open disk; `start` and `length` are bytes (BLKPG). */
export function changePartition(
  disk: number,
  change: PartitionChange,
  number: number,
  start: bigint,
  length: bigint,
): void {
  atOnce(() => {
    addon.changePartition(disk, change, number, start, length);
  });
}

/** The user at the other end of a connected Unix socket (SO_PEERCRED). */
export function peerUser(fd: number): number {
  return atOnce(() => addon.peerUser(fd));
}

/** Sends a datagram to the Unix socket at `path`; one that begins with `@` is abstract (unix(7)). */
export function sendDatagram(path: string, text: string): void {
  atOnce(() => {
    addon.sendDatagram(path, text);
  });
}
