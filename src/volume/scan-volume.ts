import type { Entry, InodeEntry } from '../image/entry.js';
import { LOST_AND_FOUND } from '../image/ext4-limits.js';
import { keyOf } from '../image/inode-match.js';
import { packPaths } from '../image/packing.js';
import { loadPathHash } from '../image/path-hash.js';
import { comparePaths } from '../image/path.js';
import type { Watch } from '../native.js';
import { ingestFiles, isNativeError, scanDevice, scanPaths, scanTree } from '../native.js';
import type { ScanRecord } from '../source/scan.js';
import {
  decodeDigests,
  decodeScan,
  entryOfRecord,
  fileToHash,
  linkedPaths,
  packFiles,
} from '../source/scan.js';
import type { BlockDevice } from './device.js';
import type { KeptPage } from './kept-pages.js';
import { keptPages } from './kept-pages.js';
import type { InodeRow, KnownTree } from './known-tree.js';
import { KnownTreeBuilder, readRow } from './known-tree.js';
import { withMount } from './mounted.js';

/** What a scan may rely on. */
export interface ScanBasis {
  /** What was there before: an inode with the same number and ctime is as it was. Without it all is read. */
  known?: KnownTree | undefined;
  /** Paths that are read whatever their inodes say: what interrupted work may have left half done. */
  doubtful?: ReadonlySet<string> | undefined;
}

/** What a scan finds: the tree, and how many inodes it has, its root included. */
export interface ScannedTree {
  tree: KnownTree;
  inodes: number;
}

/** Reads inodes, and the data of files. */
type ReadInodes = (suspects: readonly FoundInode[]) => Promise<Map<FoundInode, InodeEntry>>;

/**
 * Scans the tree on a volume, which is mounted for no longer than it must be. What is not known to be as it was is read
 * and hashed. Pages of which all is as it was are taken as they are, and nothing of them decoded.
 */
export async function scanVolume(device: BlockDevice, basis: ScanBasis, watch: Watch): Promise<ScannedTree> {
  const detailed = basis.known === undefined;
  const scan = detailed ? undefined : await statsOf(device, watch);
  if (scan !== undefined) {
    return treeOf(scan, basis, watch, async suspects => {
      if (suspects.length === 0) return new Map();
      return withMount(device, false, root => readInodes(root, suspects, false, watch));
    });
  }
  return withMount(device, false, async root =>
    treeOf(await scanTree(root, detailed, watch), basis, watch, suspects =>
      readInodes(root, suspects, detailed, watch),
    ),
  );
}

/** A scan without detail; undefined where only the kernel can make one. */
async function statsOf({ file }: BlockDevice, watch: Watch): Promise<Buffer | undefined> {
  try {
    return await scanDevice(file.fd, watch);
  } catch (reason) {
    if (isNativeError(reason) && reason.code === 'EUCLEAN') return undefined;
    throw reason;
  }
}

/** The tree that was scanned. */
async function treeOf(
  scan: Buffer,
  basis: ScanBasis,
  watch: Watch,
  readSuspects: ReadInodes,
): Promise<ScannedTree> {
  const { known, doubtful = new Set() } = basis;
  const kept = known === undefined || doubtful.size > 0 ? [] : await keptPages(scan, known, watch);
  const found = [...inodesOf(scan, kept)];
  const rows = known === undefined ? [] : await matchKnown(found, knownEntries(known, kept), doubtful);
  const suspects = found.filter((inode, at) => inode.first && rows[at] === undefined);
  const read = await readSuspects(suspects);
  const builder = new KnownTreeBuilder(await loadPathHash());
  let next = 0;
  const addUntil = (end: number): void => {
    for (; next < found.length && found[next]!.at < end; next++) {
      const inode = found[next]!;
      const entry = inode.first ? (rows[next] ?? read.get(inode)!) : linkTo(inode);
      builder.add(entry, { inode: Number(inode.record.inode), ctime: inode.record.ctime });
    }
  };
  for (const page of kept) {
    addUntil(page.start);
    await addKept(builder, page, known!);
  }
  addUntil(Infinity);
  const inodes = kept.reduce((sum, page) => sum + page.inodes, found.filter(({ first }) => first).length);
  return { tree: builder.finish(), inodes };
}

async function addKept(
  builder: KnownTreeBuilder,
  { number, page }: KeptPage,
  known: KnownTree,
): Promise<void> {
  const table = await known.table(number);
  if (builder.addPage(page, table)) return;
  // What is before it has changed so that a page ends elsewhere.
  for (const [at, entry] of (await known.manifest.entriesOf(number)).entries()) {
    builder.add(entry, readRow(table, at));
  }
}

/** A path of a scan, and the group of paths of its inode. */
interface FoundInode {
  record: ScanRecord;
  /** Where in the scan the part begins that it is in: between two pages that are kept. */
  at: number;
  /** All paths of the inode, in order. */
  paths: readonly Buffer[];
  /** Whether this is the first of them. */
  first: boolean;
}

/** What is in no page that is kept. */
function* inodesOf(scan: Buffer, kept: readonly KeptPage[]): Generator<FoundInode, void, undefined> {
  const linked = linkedPaths(scan);
  let from = 0;
  for (const { start, end } of [...kept, { start: scan.length, end: scan.length }]) {
    for (const record of decodeScan(scan, from, start)) {
      if (record.path.equals(LOST_AND_FOUND) && record.type === 'directory') continue;
      const paths = (record.type === 'directory' ? undefined : linked.get(record.inode)) ?? [record.path];
      yield { record, at: from, paths, first: paths[0]!.equals(record.path) };
    }
    from = end;
  }
}

function linkTo({ record, paths }: FoundInode): Entry {
  return { type: 'link', path: record.path, target: paths[0]! };
}

/** For each inode the entry that is known of it, if it is as it was. */
async function matchKnown(
  found: readonly FoundInode[],
  known: AsyncIterable<{ entry: Entry; row: InodeRow }>,
  doubtful: ReadonlySet<string>,
): Promise<(InodeEntry | undefined)[]> {
  const matched = new Array<InodeEntry | undefined>(found.length);
  let at = 0;
  for await (const { entry, row } of known) {
    while (at < found.length && comparePaths(found[at]!.record.path, entry.path) < 0) at++;
    const inode = found[at];
    if (inode?.first !== true || entry.type === 'link' || !inode.record.path.equals(entry.path)) continue;
    if (isAsItWas(inode, entry, row) && !inode.paths.some(path => doubtful.has(keyOf(path))))
      matched[at] = entry;
  }
  return matched;
}

/** The entries of pages that are not kept. */
async function* knownEntries(
  known: KnownTree,
  kept: readonly KeptPage[],
): AsyncGenerator<{ entry: Entry; row: InodeRow }, void, undefined> {
  const numbers = new Set(kept.map(({ number }) => number));
  for (let number = 0; number < known.manifest.index.pages.length; number++) {
    if (numbers.has(number)) continue;
    const table = await known.table(number);
    const entries = await known.manifest.entriesOf(number);
    for (const [at, entry] of entries.entries()) yield { entry, row: readRow(table, at) };
  }
}

function isAsItWas({ record, paths }: FoundInode, entry: InodeEntry, row: InodeRow): boolean {
  const names = entry.type === 'directory' ? [] : entry.names;
  return (
    record.type === entry.type &&
    Number(record.inode) === row.inode &&
    record.ctime === row.ctime &&
    record.mtime === entry.mtime &&
    record.mode === entry.mode &&
    record.uid === entry.uid &&
    record.gid === entry.gid &&
    (entry.type !== 'file' || record.size === entry.size) &&
    names.length === paths.length - 1 &&
    names.every((name, at) => name.equals(paths[at + 1]!))
  );
}

async function readInodes(
  root: number,
  suspects: readonly FoundInode[],
  detailed: boolean,
  watch: Watch,
): Promise<Map<FoundInode, InodeEntry>> {
  const records = detailed
    ? suspects.map(({ record }) => record)
    : [...decodeScan(await scanPaths(root, packPaths(suspects.map(({ record }) => record.path)), watch))];
  const files = records.filter(({ type }) => type === 'file');
  const digests = decodeDigests(await ingestFiles(root, packFiles(files.map(fileToHash)), undefined, watch));
  const entries = new Map<FoundInode, InodeEntry>();
  for (const [at, record] of records.entries()) {
    const digest = record.type === 'file' ? (digests.next().value?.digest ?? null) : null;
    entries.set(suspects[at]!, entryOfRecord(record, suspects[at]!.paths.slice(1), digest));
  }
  return entries;
}
