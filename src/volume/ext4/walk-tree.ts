import { displayPath, joinPath, MAX_PATH_BYTES } from '../../image/path.js';
import { FLAG_VALUE, ROOT_INODE, type Inode } from './inode.js';
import type { InodeStore } from './inode-store.js';
import type { Directory } from './read-directories.js';
import type { Ext4Volume } from './volume.js';

/** A name in the tree. */
export interface TreeNode {
  path: Buffer;
  inode: number;
}

/** The names of a tree, sorted by path components, and of each inode that is no directory all its paths. */
export interface Tree {
  nodes: TreeNode[];
  /** Only of inodes with more than one name. */
  names: Map<number, Buffer[]>;
}

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
  const walk = new Walk(volume, store, directories);
  walk.run();
  walk.checkCounts();
  return { nodes: walk.nodes, names: walk.names };
}

class Walk {
  readonly nodes: TreeNode[] = [];
  readonly names = new Map<number, Buffer[]>();
  readonly #first = new Map<number, Buffer>();
  readonly #volume: Ext4Volume;
  readonly #store: InodeStore;
  readonly #directories: ReadonlyMap<number, Directory>;

  constructor(volume: Ext4Volume, store: InodeStore, directories: ReadonlyMap<number, Directory>) {
    this.#volume = volume;
    this.#store = store;
    this.#directories = directories;
  }

  run(): void {
    const root: Buffer = Buffer.alloc(0);
    if (this.#store.get(ROOT_INODE)?.type !== 'directory') {
      this.#volume.report('the root is no directory', ROOT_INODE);
      return;
    }
    // The nodes still to visit, the next one last.
    const ahead = [{ path: root, inode: ROOT_INODE, parent: ROOT_INODE }];
    for (let node = ahead.pop(); node !== undefined; node = ahead.pop()) {
      const { path, inode, parent } = node;
      if (!this.#visit(path, inode, parent)) continue;
      const records = this.#directories.get(inode)?.records ?? [];
      for (let at = records.length - 1; at >= 0; at--) {
        const record = records[at]!;
        const below = joinPath(path, record.name);
        const fault = this.#faultOf(below, record.inode, record.type);
        if (fault === undefined) ahead.push({ path: below, inode: record.inode, parent: inode });
        else this.#volume.report(`the name ${displayPath(below)} ${fault}`, inode);
      }
    }
  }

  /** Takes note of a node; returns whether it is a directory to be gone through. */
  #visit(path: Buffer, number: number, parent: number): boolean {
    const directory = this.#directories.get(number);
    const first = this.#first.get(number);
    if (directory !== undefined && first !== undefined) {
      this.#volume.report(
        `the directory ${displayPath(path)} has another name, ${displayPath(first)}`,
        number,
      );
      return false;
    }
    this.nodes.push({ path, inode: number });
    if (first === undefined) this.#first.set(number, path);
    else if (!this.names.get(number)?.push(path)) this.names.set(number, [first, path]);
    if (directory !== undefined && directory.parent !== parent) {
      this.#volume.report('the directory names another as its parent', number);
    }
    return directory !== undefined;
  }

  #faultOf(path: Buffer, number: number, type: string): string | undefined {
    const inode = this.#store.get(number);
    if (path.length > MAX_PATH_BYTES) return 'is too long';
    if (inode === undefined) return `is of inode ${String(number)}, which is not in use or damaged`;
    if (inode.number < this.#volume.superblock.firstInode || (inode.flags & FLAG_VALUE) !== 0) {
      return `is of inode ${String(number)}, which is kept for the file system itself`;
    }
    return inode.type === type ? undefined : `says that it is a ${type}, but it is a ${String(inode.type)}`;
  }

  checkCounts(): void {
    for (const inode of this.#store) {
      const { number, links, flags } = inode;
      const reserved = number < this.#volume.superblock.firstInode && number !== ROOT_INODE;
      if (reserved || (flags & FLAG_VALUE) !== 0) continue;
      if (!this.#first.has(number)) this.#volume.report('the inode has no name', number);
      else if (!this.#mayCount(inode, links)) this.#volume.report('the number of links is wrong', number);
    }
  }

  #mayCount({ number }: Inode, links: number): boolean {
    const directory = this.#directories.get(number);
    if (directory === undefined) return links === (this.names.get(number)?.length ?? 1);
    const subdirectories = directory.records.filter(record => record.type === 'directory').length;
    return links === UNCOUNTED || links === OWN_LINKS + subdirectories;
  }
}
