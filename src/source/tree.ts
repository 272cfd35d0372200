import { Readable } from 'node:stream';
import type { Entry, InodeEntry, LinkableEntry } from '../image/entry.js';
import { dataSizeOf } from '../image/entry.js';
import type { ImageUnpackerError } from '../image/error.js';
import type { PathFilter } from '../image/filter.js';
import { displayPath, joinPath, pathFault } from '../image/path.js';
import type { ProgressSink } from '../image/progress.js';
import type { Limits } from '../image/settable-limits.js';
import { checkEntryLimits, DEFAULT_LIMITS, exceeded } from '../image/settable-limits.js';
import { entryFault, unsupported } from './fault.js';
import { InOrder } from './in-order.js';
import { normalise } from './normalise.js';
import { selectEntries } from './select-entries.js';
import type { ObjectSink } from './sink.js';
import type { Source, SourceEntry, SourceFile } from './source.js';
import type { TreeNode } from './tree-builder.js';
import { TreeBuilder } from './tree-builder.js';

/** A file up to this size is read as a whole, and stored while others are read. */
const SMALL_BYTES = 1n << 20n;

/** A whole tree, its data stored already. */
export interface Tree {
  /** The entries in the order of their paths. May be called more than once. */
  entries(): Iterable<Entry>;
  /** Data of files that was not stored before: how many objects, how many bytes. */
  readonly newObjects: number;
  readonly newBytes: number;
  /** Files that were known and therefore not read: how many, how many bytes of data. */
  readonly skippedFiles: number;
  readonly skippedBytes: number;
  /** What is worth keeping of the source until its data is read again. */
  readonly knowledge?: () => SourceKnowledge;
}

/** What is known of the content of a source, for who reads it the next time. */
export interface SourceKnowledge {
  /** Which source it is: letters, digits and hyphens. */
  source: string;
  bytes: Buffer;
}

export interface TreeOptions {
  filter?: PathFilter | undefined;
  progress: ProgressSink;
  signal?: AbortSignal | undefined;
  limits?: Limits | undefined;
  /** Told of what is left out or may surprise. */
  warn: (message: string) => void;
}

/**
 * Reads a source into a tree, and the data of its files into `sink`. Throws `SOURCE_*` as the source does,
 * `SOURCE_UNSUPPORTED` for entries that make no tree, and `SOURCE_EMPTY` when no entry is left.
 */
export async function readTree(source: Source, sink: ObjectSink, options: TreeOptions): Promise<Tree> {
  const { limits = DEFAULT_LIMITS } = options;
  const builder = new TreeBuilder(limits);
  const count = { newObjects: 0, newBytes: 0, entries: 0, data: 0n };
  const step = options.progress.step('Reading entries', 'entries');
  const entries = new InOrder();
  try {
    for await (const entry of source.entries(options.signal)) {
      checkEntry(entry, count, limits);
      const { bytes, work } = await beginStoring(entry, sink, count);
      await entries.add(work, bytes, stored => {
        if (stored.type === 'link') builder.link(stored);
        else builder.add(normalise(stored));
        step.update(++count.entries);
      });
    }
    await entries.finish();
  } finally {
    await entries.settle();
    step.end();
  }
  const { newObjects, newBytes } = count;
  return { newObjects, newBytes, skippedFiles: 0, skippedBytes: 0, entries: arrange(builder, options) };
}

/** What was stored that was not before. */
export interface StoredCount {
  newObjects: number;
  newBytes: number;
}

/** Refuses an entry that no tree holds, or that is beyond a limit; `count` is of all entries so far. */
export function checkEntry(entry: SourceEntry, count: { data: bigint }, limits: Limits): void {
  const fault = pathFault(entry.path);
  if (fault !== undefined) throw unsupported(entry.path, fault);
  checkEntryLimits(entry, limits);
  if (entry.type === 'file') countData(entry, count, limits);
}

/** The holes of sparse files let little data say that there is much. */
function countData(
  { path, size, holes }: SourceFile,
  count: { data: bigint },
  { sourceBytes }: Limits,
): void {
  count.data += dataSizeOf(size, holes);
  if (count.data <= sourceBytes) return;
  const shown = displayPath(path);
  const what = `${shown} and the files before it have more than ${String(sourceBytes)} bytes`;
  throw exceeded(what, 'sourceBytes', shown);
}

/** An entry as it goes into the tree, once its data is stored. */
type StoredEntry = Extract<SourceEntry, { type: 'link' }> | InodeEntry;

interface Begun {
  /** Bytes that are held in memory until then. */
  bytes: number;
  work: Promise<StoredEntry>;
}

/** Begins to store the data of an entry. */
async function beginStoring(entry: SourceEntry, sink: ObjectSink, count: StoredCount): Promise<Begun> {
  if (entry.type === 'link' || entry.type === 'directory') return done(entry);
  if (entry.type !== 'file') return done({ ...entry, names: [] });
  const { content, ...file } = entry;
  if (content.kind === 'stored') return done({ ...file, names: [], digest: content.digest });
  const { bytes, digest } = await beginData(entry, content.chunks, sink, count);
  return { bytes, work: digest.then(known => ({ ...file, names: [], digest: known })) };
}

function done(result: StoredEntry): Begun {
  return { bytes: 0, work: Promise.resolve(result) };
}

/**
 * Begins to store the data of a file: its digest, or null if it has none, and how many bytes are held until that is known. All of
 * it has been read by then. The digest is rejected with `SOURCE_DAMAGED` unless there is as much data as there should be.
 */
export async function beginData(
  file: SourceFile,
  chunks: AsyncIterable<Buffer>,
  sink: ObjectSink,
  count: StoredCount,
): Promise<{ bytes: number; digest: Promise<Buffer | null> }> {
  const size = dataSizeOf(file.size, file.holes);
  if (size > SMALL_BYTES) {
    const digest = await storeData(file, chunks, sink, count);
    return { bytes: 0, digest: Promise.resolve(digest) };
  }
  const held: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    held.push(chunk);
    if ((bytes += chunk.length) > size) throw misfit(file);
  }
  if (bytes === 0 && size === 0n) return { bytes, digest: Promise.resolve(null) };
  return { bytes, digest: storeData(file, Readable.from(held), sink, count) };
}

/** Stores the data of a file; its digest. Throws `SOURCE_DAMAGED` unless it is as long as it should be. */
async function storeData(
  file: SourceFile,
  chunks: AsyncIterable<Buffer>,
  sink: ObjectSink,
  count: StoredCount,
): Promise<Buffer> {
  const stored = await sink.putStream(chunks);
  if (BigInt(stored.size) !== dataSizeOf(file.size, file.holes)) throw misfit(file);
  if (stored.added) {
    count.newObjects++;
    count.newBytes += stored.size;
  }
  return stored.digest;
}

function misfit(file: SourceFile): ImageUnpackerError {
  return entryFault('SOURCE_DAMAGED', file.path, 'does not have as much data as its size says');
}

/** A node of the tree where it stands. */
interface Placed {
  path: Buffer;
  node: TreeNode;
}

/** Settles which paths are kept and which names belong together; returns what lists the entries. */
export function arrange(builder: TreeBuilder, options: TreeOptions): () => Iterable<Entry> {
  const { root, arena } = builder;
  const kept = selectEntries(describe(root), options);
  const groups = new Map<TreeNode, Buffer[]>();
  for (const { path, node } of walk(root, kept)) {
    if (node.names < 2) continue;
    const names = groups.get(node);
    if (names === undefined) groups.set(node, [path]);
    else names.push(path);
  }
  return function* () {
    for (const { path, node } of walk(root, kept)) {
      const names = groups.get(node);
      if (names === undefined) yield arena.get(node.at, path);
      else if (names[0]!.equals(path)) yield withNames(arena.get(node.at, path), names.slice(1));
      else yield { type: 'link', path, target: names[0]! };
    }
  };
}

function withNames(entry: InodeEntry, names: Buffer[]): Entry {
  return { ...(entry as LinkableEntry), names };
}

function* describe(root: TreeNode) {
  for (const { path, node } of walk(root)) yield { path, isDirectory: node.children !== undefined };
}

/** The nodes in the order of their paths; of those, the ones that are `kept` by their place. */
function* walk(root: TreeNode, kept?: readonly boolean[]): Generator<Placed, void, undefined> {
  let at = 0;
  const waiting: Placed[] = [{ path: Buffer.alloc(0), node: root }];
  for (let placed; (placed = waiting.pop()) !== undefined;) {
    if (kept?.[at++] !== false) yield placed;
    const { children } = placed.node;
    if (children === undefined) continue;
    // Last in, first out: the first name goes in last.
    for (const name of [...children.keys()].sort().reverse()) {
      waiting.push({ path: joinPath(placed.path, Buffer.from(name, 'latin1')), node: children.get(name)! });
    }
  }
}
