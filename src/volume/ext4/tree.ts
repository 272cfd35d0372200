import {
  blocksOf,
  BLOCK_SIZE_BIG,
  holesBetween,
  PRESERVED_FLAGS,
  type Entry,
  type FileEntry,
  type Hole,
  type InodeEntry,
  type Linkable,
} from '../../image/entry.js';
import { silentProgress, type ProgressSink } from '../../image/progress.js';
import { reporting } from './damage.js';
import { dataExtents, hashFiles, type FileDigests } from './hash-files.js';
import { deviceNumber, type Inode } from './inode.js';
import { InodeStore } from './inode-store.js';
import { readDirectories } from './read-directories.js';
import { readSymlinks } from './read-symlinks.js';
import { Xattrs } from './read-xattrs.js';
import type { Ext4Volume } from './volume.js';
import type { Tree } from './tree-nodes.js';
import { walkTree } from './walk-tree.js';

/** The tree of a volume, read in full. */
export interface Ext4Tree {
  /** All entries, the root first, sorted by path components. Can be gone through again. */
  entries: Iterable<Entry>;
  /** The first path of an inode that has one. */
  pathOf(inode: number): Buffer | undefined;
}

/**
 * Reads a whole volume: all metadata, and all data of files to hash it, each in the order in which it lies
 * on the device. Faults go to the volume's reporter; what is faulty is left out of the tree.
 */
export async function readTree(
  volume: Ext4Volume,
  progress: ProgressSink = silentProgress,
): Promise<Ext4Tree> {
  const metadata = await readMetadata(volume, progress);
  const parts = { ...metadata, digests: await hashFiles(volume, metadata.store, progress) };
  const { tree } = metadata;
  return {
    entries: { [Symbol.iterator]: () => entriesOf(parts) },
    pathOf: inode => tree.nodesOf(inode).map(node => tree.pathOf(node))[0],
  };
}

async function readMetadata(volume: Ext4Volume, progress: ProgressSink): Promise<Omit<Parts, 'digests'>> {
  const step = progress.step('Reading the file system');
  try {
    const { store } = await InodeStore.read(volume);
    const tree = walkTree(volume, store, await readDirectories(volume, store));
    const xattrs = await Xattrs.read(volume, store);
    return { volume, store, tree, xattrs, symlinks: await readSymlinks(volume, store) };
  } finally {
    step.end();
  }
}

interface Parts {
  volume: Ext4Volume;
  store: InodeStore;
  tree: Tree;
  xattrs: Xattrs;
  symlinks: ReadonlyMap<number, Buffer>;
  digests: FileDigests;
}

function* entriesOf(parts: Parts): Generator<Entry, void, undefined> {
  const { tree, store, volume } = parts;
  for (let node = 0; node < tree.length; node++) {
    const number = tree.inodeOf(node);
    const path = tree.pathOf(node);
    const [first, ...others] = tree.nodesOf(number);
    if (first !== node) {
      yield { type: 'link', path, target: tree.pathOf(first!) };
      continue;
    }
    let entry: InodeEntry | undefined;
    reporting(volume.report, number, () => {
      const names = others.map(other => tree.pathOf(other));
      entry = inodeEntry(parts, store.get(number)!, path, names);
    });
    if (entry !== undefined) yield entry;
  }
}

function inodeEntry(parts: Parts, inode: Inode, path: Buffer, names: Buffer[]): InodeEntry | undefined {
  const { mode, uid, gid, mtime } = inode;
  const flags = inode.flags & PRESERVED_FLAGS;
  const metadata = { mode, uid, gid, mtime, flags, xattrs: parts.xattrs.of(inode) };
  const linkable = { path, ...metadata, names };
  switch (inode.type) {
    case 'directory':
      return { type: 'directory', path, ...metadata };
    case 'symlink': {
      const target = parts.symlinks.get(inode.number);
      return target && { type: 'symlink', ...linkable, target };
    }
    case 'character':
    case 'block':
      return { type: inode.type, ...linkable, ...deviceNumber(inode) };
    case 'fifo':
    case 'socket':
      return { type: inode.type, ...linkable };
    case 'file':
      return fileEntry(parts, inode, linkable);
    case undefined:
      return undefined;
  }
}

function fileEntry(parts: Parts, inode: Inode, linkable: Linkable & { path: Buffer }): FileEntry {
  const digest = parts.digests.get(inode.number);
  return { type: 'file', ...linkable, size: BigInt(inode.size), holes: holesOf(parts.store, inode), digest };
}

function holesOf(store: InodeStore, inode: Inode): Hole[] {
  const size = BigInt(inode.size);
  const extents = dataExtents(inode, store.mapOf(inode).extents);
  if (extents.length === 1 && BigInt(extents[0]!.count) === blocksOf(size)) return [];
  const segments = extents.map(({ logical, count }) => ({
    offset: BigInt(logical) * BLOCK_SIZE_BIG,
    length: BigInt(count) * BLOCK_SIZE_BIG,
  }));
  return holesBetween(size, segments);
}
