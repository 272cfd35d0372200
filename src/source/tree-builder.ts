import type { DirectoryEntry, InodeEntry, LinkEntry } from '../image/entry.js';
import { MAX_NAMES } from '../image/limits.js';
import { displayPath } from '../image/path.js';
import type { Limits } from '../image/settable-limits.js';
import { checkEntryCount, checkEntryLimits } from '../image/settable-limits.js';
import { EntryArena } from './entry-arena.js';
import { unsupported } from './fault.js';

/** An inode of the tree; those that are no directories may stand under several names. */
export interface TreeNode {
  /** Where the arena has its entry. */
  at: number;
  /** How many names it has. */
  names: number;
  /** What a directory holds, by names as Latin-1, which keeps bytes apart. */
  children: Map<string, TreeNode> | undefined;
}

const SLASH = '/';
const ROOT_PATH = Buffer.alloc(0);

/** What a directory is like that the source does not tell of. */
function defaultDirectory(path: Buffer): DirectoryEntry {
  return { type: 'directory', path, mode: 0o755, uid: 0, gid: 0, mtime: 0n, flags: 0, xattrs: [] };
}

/**
 * Makes a tree of entries that come in any order, as GNU tar does when it extracts them: a later entry
 * replaces an earlier one of its path, parents that are missing are made (mode 0755, root, mtime 0), and a
 * hard link is one more name of the inode that its target is at that moment. A directory that is there
 * keeps what it holds and takes the new metadata. Nothing goes through a symbolic link. What GNU tar would
 * fail at is `SOURCE_UNSUPPORTED`, with the name.
 */
export class TreeBuilder {
  readonly arena = new EntryArena();
  readonly root: TreeNode = this.#newDirectory(defaultDirectory(ROOT_PATH));
  readonly #limits: Limits;
  #entries = 1;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** Adds an inode. */
  add(entry: InodeEntry): void {
    if (entry.path.length === 0) {
      if (entry.type !== 'directory') throw unsupported(entry.path, 'is the root and not a directory');
      this.root.at = this.arena.add(entry);
      return;
    }
    const { directory, name } = this.#place(entry.path);
    const before = directory.get(name);
    if (entry.type !== 'directory') {
      this.#put(directory, name, { at: this.arena.add(entry), names: 0, children: undefined }, entry.path);
    } else if (before?.children === undefined) {
      this.#put(directory, name, this.#newDirectory(entry), entry.path);
    } else {
      before.at = this.arena.add(entry);
    }
  }

  /** Adds one more name of the inode at `target`. */
  link({ path, target }: LinkEntry): void {
    const shown = displayPath(target);
    const node = this.#find(target);
    if (node === undefined)
      throw unsupported(path, `is a hard link to ${shown}, which is not there before it`);
    if (node.children !== undefined)
      throw unsupported(path, `is a hard link to ${shown}, which is a directory`);
    if (node.names >= MAX_NAMES) throw unsupported(path, `is one name too many of ${shown}`);
    if (path.length === 0) throw unsupported(path, 'is the root and not a directory');
    const { directory, name } = this.#place(path);
    if (directory.get(name) !== node) this.#put(directory, name, node, path);
  }

  #put(directory: Map<string, TreeNode>, name: string, node: TreeNode, path: Buffer): void {
    const before = directory.get(name);
    if (before?.children !== undefined && before.children.size > 0) {
      throw unsupported(path, 'would replace a directory that is not empty; an archive cannot say so');
    }
    if (before === undefined) checkEntryCount('The source', ++this.#entries, this.#limits);
    if (before !== undefined) before.names--;
    node.names++;
    directory.set(name, node);
  }

  /** The directory that holds `path`, which is made if need be, and the last name. */
  #place(path: Buffer): { directory: Map<string, TreeNode>; name: string } {
    let node = this.root;
    let start = 0;
    for (let end; (end = path.indexOf(SLASH, start)) >= 0; start = end + 1) {
      const name = path.toString('latin1', start, end);
      let child = node.children!.get(name);
      if (child === undefined) {
        const parent = path.subarray(0, end);
        checkEntryLimits({ path: parent }, this.#limits);
        child = this.#newDirectory(defaultDirectory(parent));
        this.#put(node.children!, name, child, parent);
      } else if (child.children === undefined) {
        throw unsupported(path, `lies below ${displayPath(path.subarray(0, end))}, which is not a directory`);
      }
      node = child;
    }
    // A part of a longer string would keep all of it.
    return { directory: node.children!, name: path.toString('latin1', start) };
  }

  #find(path: Buffer): TreeNode | undefined {
    let node: TreeNode | undefined = this.root;
    if (path.length === 0) return node;
    for (const name of path.toString('latin1').split(SLASH)) node = node?.children?.get(name);
    return node;
  }

  #newDirectory(entry: DirectoryEntry): TreeNode {
    return { at: this.arena.add(entry), names: 0, children: new Map() };
  }
}
