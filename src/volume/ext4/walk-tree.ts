import { displayPath, MAX_PATH_BYTES } from '../../image/path.js';
import type { DirectoryRecord } from './directory.js';
import { FLAG_VALUE, ROOT_INODE, type Inode } from './inode.js';
import type { InodeStore } from './inode-store.js';
import type { Directory } from './read-directories.js';
import { Tree } from './tree-nodes.js';
import type { Ext4Volume } from './volume.js';

/** Every directory counts its own name, its `.` and the `..` of the directories in it. */
const OWN_LINKS = 2;
/** A directory whose links cannot be counted any more has this number. */
const UNCOUNTED = 1;

/**
 * Walks from the root through all directories. Reports names of inodes that are not in use, directories
 * with two names, wrong types and numbers of links, and inodes without a name.
 */
export function walkTree(
  volume: Ext4Volume,
  store: InodeStore,
  directories: ReadonlyMap<number, Directory>,
): Tree {
  const tree = new Tree(store);
  if (directories.has(ROOT_INODE)) walk(volume, store, directories, tree);
  else volume.report('the root is no directory', ROOT_INODE);
  for (const inode of store) checkLinks(volume, inode, directories.get(inode.number), tree);
  return tree;
}

function walk(
  volume: Ext4Volume,
  store: InodeStore,
  directories: ReadonlyMap<number, Directory>,
  tree: Tree,
): void {
  // What is still to be visited, the next one last; the root is its own parent.
  const ahead = [{ parent: 0, name: '', inode: ROOT_INODE }];
  for (let next = ahead.pop(); next !== undefined; next = ahead.pop()) {
    const directory = directories.get(next.inode);
    if (directory !== undefined && tree.hasName(next.inode)) {
      volume.report('the directory has two names', next.inode);
      continue;
    }
    const node = tree.add(next.parent, next.name, next.inode);
    if (directory === undefined) continue;
    if (directory.parent !== tree.inodeOf(next.parent)) {
      volume.report('the directory names another as its parent', next.inode);
    }
    for (let at = directory.records.length - 1; at >= 0; at--) {
      const record = directory.records[at]!;
      const fault = faultOf(volume, store, tree, node, record);
      if (fault === undefined) ahead.push({ parent: node, name: record.name, inode: record.inode });
      else volume.report(`the name ${displayPath(Buffer.from(record.name, 'latin1'))} ${fault}`, next.inode);
    }
  }
}

function faultOf(
  { superblock }: Ext4Volume,
  store: InodeStore,
  tree: Tree,
  parent: number,
  { name, inode: number, type }: DirectoryRecord,
): string | undefined {
  const inode = store.get(number);
  if (tree.pathLength(parent) + 1 + name.length > MAX_PATH_BYTES) return 'makes a path that is too long';
  if (inode === undefined) return `is of inode ${String(number)}, which is not in use or damaged`;
  if (number < superblock.firstInode || (inode.flags & FLAG_VALUE) !== 0) {
    return `is of inode ${String(number)}, which is kept for the file system itself`;
  }
  return inode.type === type ? undefined : `says that it is a ${type}, but it is a ${String(inode.type)}`;
}

function checkLinks(
  { superblock, report }: Ext4Volume,
  inode: Inode,
  directory: Directory | undefined,
  tree: Tree,
): void {
  const { number, links, flags } = inode;
  const reserved = number < superblock.firstInode && number !== ROOT_INODE;
  if (reserved || (flags & FLAG_VALUE) !== 0) return;
  if (!tree.hasName(number)) report('the inode has no name', number);
  else if (directory === undefined && links !== tree.nodesOf(number).length) {
    report('the number of links is wrong', number);
  } else if (directory !== undefined && links !== UNCOUNTED) {
    const subdirectories = directory.records.filter(record => record.type === 'directory').length;
    if (links !== OWN_LINKS + subdirectories) report('the number of links is wrong', number);
  }
}
