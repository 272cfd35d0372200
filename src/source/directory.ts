import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import type { Entry, Hole, InodeEntry } from '../image/entry.js';
import { dataSizeOf, holesBetween, segmentsOf } from '../image/entry.js';
import type { ErrorCode } from '../image/error.js';
import { ImageUnpackerError } from '../image/error.js';
import { inParallel } from '../image/in-parallel.js';
import { MAX_HOLES, MAX_NAMES } from '../image/limits.js';
import { displayPath } from '../image/path.js';
import { checkEntryCount, checkEntryLimits, DEFAULT_LIMITS } from '../image/settable-limits.js';
import type { Watch } from '../native.js';
import { isNativeError, scanTree } from '../native.js';
import { entryFault, unsupported } from './fault.js';
import type { SourceRoot } from './known-files.js';
import { KnownFiles, packKnownFiles } from './known-files.js';
import { normalise } from './normalise.js';
import type { FileToHash, ScanRecord } from './scan.js';
import { decodeDigests, decodePaths, decodeScan, packFiles } from './scan.js';
import { selectEntries } from './select-entries.js';
import type { ObjectSink } from './sink.js';
import type { SourceKnowledge, Tree, TreeOptions } from './tree.js';

export interface DirectoryOptions extends TreeOptions {
  /** What was kept of that source when it was last read (`Tree.knowledge`). Without it all files are read. */
  recall?: ((source: string) => Promise<Buffer | undefined>) | undefined;
  /** The clock, in milliseconds since 1970. */
  now: () => number;
}

/** Files that are handed to the native code at once: enough for all cores, little to hold. */
const BATCH_FILES = 4096;
/** While one of them waits for a store that is elsewhere, the next one is read. */
const BATCHES_AT_ONCE = 4;
/** What goes wrong where a tree changes under a reader's hands. */
const CHANGED = new Set(['ESTALE', 'ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV']);
const NANOSECONDS_PER_MILLISECOND = 1_000_000n;
const LINK_TYPES = new Set<ScanRecord['type']>(['file', 'symlink', 'character', 'block', 'fifo', 'socket']);

/**
 * Reads the directory `location` (a symbolic link to one is followed) into a tree, and the data of its files
 * into `sink`, each read once, or not at all if it is known to be as it was. Other file systems that are mounted
 * in it are not entered: their mount points come as empty directories. Throws `SOURCE_MISSING`, `SOURCE_EMPTY`, `SOURCE_CHANGED` naming a file that was
 * written to meanwhile, and `SOURCE_UNSUPPORTED` naming an entry that no image can hold.
 */
export async function readDirectory(
  location: string,
  sink: ObjectSink,
  options: DirectoryOptions,
): Promise<Tree> {
  const directory = await openSource(location);
  try {
    const root = await identify(directory);
    const known = await recallFiles(root, options);
    const seen = BigInt(options.now()) * NANOSECONDS_PER_MILLISECOND;
    const scan = await scanDirectory(directory.fd, options);
    const plan = planDirectory(scan, known, options);
    const { digests, ...counts } = await ingest(directory.fd, plan, sink, options);
    return {
      ...counts,
      entries: () => entriesOf(scan, plan, digests),
      knowledge: () => knowledgeOf(root, packKnownFiles(root, filesOf(scan, plan, digests), seen)),
    };
  } catch (reason) {
    throw failed(reason, location);
  } finally {
    await directory.close();
  }
}

async function openSource(location: string): Promise<FileHandle> {
  try {
    return await open(location, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw ImageUnpackerError.from(reason, `Cannot read the source ${location}`, { path: location });
    }
    throw new ImageUnpackerError('SOURCE_MISSING', `There is no source at ${location}`, { path: location });
  }
}

async function identify(directory: FileHandle): Promise<SourceRoot> {
  const { dev, ino, birthtimeNs } = await directory.stat({ bigint: true });
  return { device: dev, inode: ino, born: birthtimeNs };
}

async function recallFiles(root: SourceRoot, { recall }: DirectoryOptions): Promise<KnownFiles | undefined> {
  const bytes = await recall?.(nameOf(root));
  return bytes && KnownFiles.decode(bytes, root);
}

function knowledgeOf(root: SourceRoot, bytes: Buffer): SourceKnowledge {
  return { source: nameOf(root), bytes };
}

/** What the knowledge of a directory goes by. */
function nameOf({ device, inode }: SourceRoot): string {
  return `${device.toString(16)}-${inode.toString(16)}`;
}

async function scanDirectory(
  fd: number,
  { progress, signal, limits = DEFAULT_LIMITS }: TreeOptions,
): Promise<Buffer> {
  const step = progress.step('Looking through the source', 'entries');
  const stop = new AbortController();
  const onProgress = (entries: number): void => {
    step.update(entries);
    // What is found takes memory.
    if (entries > limits.entries) stop.abort();
  };
  try {
    const stopped = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
    return await scanTree(fd, true, { signal: stopped, onProgress });
  } catch (reason) {
    if (stop.signal.aborted && signal?.aborted !== true) checkEntryCount('The source', Infinity, limits);
    throw reason;
  } finally {
    step.end();
  }
}

/** What is made of a scan before any data is read. */
interface DirectoryPlan {
  /** Whether each record becomes an entry. */
  kept: readonly boolean[];
  /** The names of each inode that has more than one, in order, by inode number. */
  names: ReadonlyMap<bigint, Buffer[]>;
  /** The files that have data, each inode once, in order, packed in batches. */
  batches: Batch[];
}

interface Batch {
  packed: Buffer;
  sizes: bigint[];
}

function planDirectory(
  scan: Buffer,
  knownFiles: KnownFiles | undefined,
  options: TreeOptions,
): DirectoryPlan {
  const kept = selectEntries(describe(scan), options);
  checkEntryCount('The source', kept.length, options.limits ?? DEFAULT_LIMITS);
  const names = new Map<bigint, Buffer[]>();
  const batches: Batch[] = [];
  let files: FileToHash[] = [];
  const endBatch = (): void => {
    const sizes = files.map(file => file.segments.reduce((sum, segment) => sum + segment.length, 0n));
    batches.push({ packed: packFiles(files), sizes });
    files = [];
  };
  for (const record of keptRecords(scan, kept)) {
    checkRecord(record, options);
    if (isFurtherName(record, names)) continue;
    if (record.type !== 'file') continue;
    const { path, size, mtime, ctime } = record;
    const holes = holesOf(record);
    const segments = segmentsOf(size, holes);
    const known = knownFiles?.digestOf({ ...record, holes });
    if (segments.length > 0) files.push({ path, size, mtime, ctime, segments, known });
    if (files.length === BATCH_FILES) endBatch();
  }
  if (files.length > 0) endBatch();
  for (const [inode, [, ...more]] of names) if (more.length === 0) names.delete(inode);
  return { kept, names, batches };
}

function* describe(scan: Buffer) {
  for (const { path, type } of decodePaths(scan)) yield { path, isDirectory: type === 'directory' };
}

function* keptRecords(scan: Buffer, kept: readonly boolean[]): Generator<ScanRecord, void, undefined> {
  let at = 0;
  for (const record of decodeScan(scan)) if (kept[at++] === true) yield record;
}

function checkRecord(record: ScanRecord, { warn, limits = DEFAULT_LIMITS }: TreeOptions): void {
  checkEntryLimits(record, limits);
  if (!record.mountRoot) {
    normalise(toInode(record, null));
  } else if (record.type === 'directory') {
    warn(`${displayPath(record.path)} is left empty: another file system is mounted there`);
  } else {
    throw unsupported(record.path, 'is on another file system, mounted there; unmount it');
  }
}

/** Takes note of the names of inodes that have several; says whether this one was met before. */
function isFurtherName(record: ScanRecord, names: Map<bigint, Buffer[]>): boolean {
  if (record.links < 2 || !LINK_TYPES.has(record.type)) return false;
  const known = names.get(record.inode);
  if (known === undefined) {
    names.set(record.inode, [record.path]);
    return false;
  }
  if (known.push(record.path) > MAX_NAMES) throw unsupported(record.path, 'is one of too many hard links');
  return true;
}

function holesOf({ path, size, segments }: ScanRecord): Hole[] {
  const holes = holesBetween(size, segments);
  if (holes.length > MAX_HOLES) throw unsupported(path, 'has more holes than an image can hold');
  return holes;
}

async function ingest(fd: number, { batches }: DirectoryPlan, sink: ObjectSink, options: TreeOptions) {
  const count = { newObjects: 0, newBytes: 0, skippedFiles: 0, skippedBytes: 0 };
  const counted = new Set<string>();
  const total = batches.reduce((sum, { sizes }) => sizes.reduce((bytes, size) => bytes + size, sum), 0n);
  const step = options.progress.step('Reading files', 'bytes', Number(total));
  const done = batches.map(() => 0);
  const progress = (at: number, bytes: number): void => {
    done[at] = bytes;
    step.update(done.reduce((sum, each) => sum + each, 0));
  };
  const ingestBatch = async ({ packed, sizes }: Batch, at: number, signal: AbortSignal): Promise<Buffer> => {
    const watch: Watch = { signal, onProgress: (_, bytes) => progress(at, bytes) };
    const digests = await sink.ingest(fd, packed, watch);
    countFiles(digests, sizes, counted, count);
    progress(at, Number(sizes.reduce((bytes, size) => bytes + size, 0n)));
    return digests;
  };
  try {
    const digests = await inParallel(batches, BATCHES_AT_ONCE, ingestBatch, options.signal);
    return { ...count, digests };
  } finally {
    step.end();
  }
}

interface FileCount {
  newObjects: number;
  newBytes: number;
  skippedFiles: number;
  skippedBytes: number;
}

/** Of files that are the same and new, any number may have been told to be added; `counted` has the digests of those. */
function countFiles(digests: Buffer, sizes: readonly bigint[], counted: Set<string>, count: FileCount): void {
  let at = 0;
  for (const { added, skipped, digest } of decodeDigests(digests)) {
    const size = Number(sizes[at++]!);
    if (skipped) {
      count.skippedFiles++;
      count.skippedBytes += size;
    }
    const key = digest.toString('latin1');
    if (!added || counted.has(key)) continue;
    counted.add(key);
    count.newObjects++;
    count.newBytes += size;
  }
}

function* entriesOf(
  scan: Buffer,
  { kept, names }: DirectoryPlan,
  digests: readonly Buffer[],
): Generator<Entry, void, undefined> {
  const known = digestsOf(digests);
  for (const record of keptRecords(scan, kept)) {
    const group = LINK_TYPES.has(record.type) && record.links > 1 ? names.get(record.inode) : undefined;
    if (group !== undefined && !group[0]!.equals(record.path)) {
      yield { type: 'link', path: record.path, target: group[0]! };
      continue;
    }
    const hasData = record.type === 'file' && dataSizeOf(record.size, holesOf(record)) > 0n;
    const entry = normalise(toInode(record, hasData ? (known.next().value as Buffer) : null));
    yield group === undefined || entry.type === 'directory' ? entry : { ...entry, names: group.slice(1) };
  }
}

/** The files that have data, each inode once, with what shows whether they are as they were. */
function* filesOf(scan: Buffer, { kept, names }: DirectoryPlan, digests: readonly Buffer[]) {
  const known = digestsOf(digests);
  for (const record of keptRecords(scan, kept)) {
    if (record.type !== 'file' || names.get(record.inode)?.[0]?.equals(record.path) === false) continue;
    const holes = holesOf(record);
    if (dataSizeOf(record.size, holes) === 0n) continue;
    yield { ...record, holes, digest: known.next().value as Buffer };
  }
}

function* digestsOf(packed: readonly Buffer[]): Generator<Buffer, void, undefined> {
  for (const batch of packed) for (const { digest } of decodeDigests(batch)) yield digest;
}

function toInode(record: ScanRecord, digest: Buffer | null): InodeEntry {
  const { path, mode, uid, gid, mtime, flags, xattrs, type } = record;
  const inode = { path, mode, uid, gid, mtime, flags, xattrs };
  switch (type) {
    case 'directory':
      return { type, ...inode };
    case 'file':
      return { type, ...inode, names: [], size: record.size, holes: holesOf(record), digest };
    case 'symlink':
      return { type, ...inode, names: [], target: record.target };
    case 'character':
    case 'block':
      return { type, ...inode, names: [], major: record.major, minor: record.minor };
    case 'fifo':
    case 'socket':
      return { type, ...inode, names: [] };
  }
}

function failed(reason: unknown, location: string): unknown {
  if (!isNativeError(reason)) return reason;
  const path = reason.path ?? Buffer.alloc(0);
  if (CHANGED.has(reason.code)) {
    const why = 'changed while it was read; build again when nothing writes to the source';
    return entryFault('SOURCE_CHANGED' satisfies ErrorCode, path, why, reason);
  }
  const shown = displayPath(path);
  return ImageUnpackerError.from(reason, `Cannot read ${shown} of the source ${location}`, { path: shown });
}
