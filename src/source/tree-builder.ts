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

function baseOf(path: Buffer): string {
  return path.toString('latin1', path.lastIndexOf(SLASH) + 1);
}

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
  /** The names that the layer has put so far, by the directory; undefined when there is but one. */
  #ofLayer: Map<TreeNode, Set<string>> | undefined;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /**
   * From now on entries belong to a layer that lies on all that is there: what is not a directory replaces even a
   * directory that is not empty, unless the layer has put something in it.
   */
  beginLayer(): void {
    this.#ofLayer = new Map();
  }

  /** Takes away what layers below the one that was begun have at `path`; what it has there itself stays. */
  hide(path: Buffer): void {
    const directory = this.#directoryOf(path);
    const name = baseOf(path);
    const node = directory?.children!.get(name);
    if (directory === undefined || node === undefined) return;
    const isOwn = this.#isOfLayer(directory, name);
    if (node.children !== undefined) this.#hideChildren(node);
    if (isOwn) return;
    if (node.children === undefined || node.children.size === 0) this.#remove(directory, name);
    // The layer has something in it and does not tell what the directory itself is like.
    else node.at = this.arena.add(defaultDirectory(path));
  }

  /** Takes away all that layers below the one that was begun have in the directory at `path`. */
  hideBelow(path: Buffer): void {
    const directory = path.length === 0 ? this.root : this.#directoryOf(path)?.children!.get(baseOf(path));
    if (directory === undefined) return;
    if (directory.children === undefined) throw unsupported(path, 'is said to be opaque and is no directory');
    this.#hideChildren(directory);
  }

  /** Adds an inode. */
  add(entry: InodeEntry): void {
    if (entry.path.length === 0) {
      if (entry.type !== 'directory') throw unsupported(entry.path, 'is the root and not a directory');
      this.root.at = this.arena.add(entry);
      return;
    }
    const { directory, name } = this.#place(entry.path);
    const before = directory.children!.get(name);
    if (entry.type !== 'directory') {
      this.#put(directory, name, { at: this.arena.add(entry), names: 0, children: undefined }, entry.path);
    } else if (before?.children === undefined) {
      this.#put(directory, name, this.#newDirectory(entry), entry.path);
    } else {
      before.at = this.arena.add(entry);
      this.#noteOfLayer(directory, name);
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
    if (directory.children!.get(name) !== node) this.#put(directory, name, node, path);
    else this.#noteOfLayer(directory, name);
  }

  #put(directory: TreeNode, name: string, node: TreeNode, path: Buffer): void {
    const before = directory.children!.get(name);
    if (before?.children !== undefined) {
      if (this.#ofLayer !== undefined && !this.#isOfLayer(directory, name)) this.#hideChildren(before);
      if (before.children.size > 0)
        throw unsupported(path, 'would replace a directory that is not empty; an archive cannot say so');
    }
    if (before === undefined) checkEntryCount('The source', ++this.#entries, this.#limits);
    if (before !== undefined) before.names--;
    node.names++;
    directory.children!.set(name, node);
    this.#noteOfLayer(directory, name);
  }

  #isOfLayer(directory: TreeNode, name: string): boolean {
    return this.#ofLayer?.get(directory)?.has(name) ?? false;
  }

  #noteOfLayer(directory: TreeNode, name: string): void {
    if (this.#ofLayer === undefined) return;
    const names = this.#ofLayer.get(directory);
    if (names === undefined) this.#ofLayer.set(directory, new Set([name]));
    else names.add(name);
  }

  #remove(directory: TreeNode, name: string): void {
    directory.children!.get(name)!.names--;
    directory.children!.delete(name);
    this.#entries--;
  }

  /** Takes away what is below `top`, but for what the layer has put and the directories on the way to that. */
  #hideChildren(top: TreeNode): void {
    const found: { directory: TreeNode; name: string }[] = [];
    const waiting = [top];
    for (let directory; (directory = waiting.pop()) !== undefined;) {
      for (const [name, child] of directory.children!) {
        found.push({ directory, name });
        if (child.children !== undefined) waiting.push(child);
      }
    }
    // What is in a directory was found after it, and goes before it.
    for (const { directory, name } of found.reverse()) {
      if (this.#isOfLayer(directory, name)) continue;
      const child = directory.children!.get(name)!;
      if (child.children === undefined || child.children.size === 0) this.#remove(directory, name);
      else child.at = this.arena.add(defaultDirectory(ROOT_PATH));
    }
  }

  /** The directory that holds `path`, if it is there. */
  #directoryOf(path: Buffer): TreeNode | undefined {
    const end = path.lastIndexOf(SLASH);
    if (end < 0) return this.root;
    let node: TreeNode | undefined = this.root;
    for (const name of path.toString('latin1', 0, end).split(SLASH)) {
      node = node.children!.get(name);
      if (node === undefined) return undefined;
      if (node.children === undefined)
        throw unsupported(path, 'is to be hidden below what is not a directory');
    }
    return node;
  }

  /** The directory that holds `path`, which is made if need be, and the last name. */
  #place(path: Buffer): { directory: TreeNode; name: string } {
    let node = this.root;
    let start = 0;
    for (let end; (end = path.indexOf(SLASH, start)) >= 0; start = end + 1) {
      const name = path.toString('latin1', start, end);
      let child = node.children!.get(name);
      if (child === undefined) {
        const parent = path.subarray(0, end);
        checkEntryLimits({ path: parent }, this.#limits);
        child = this.#newDirectory(defaultDirectory(parent));
        this.#put(node, name, child, parent);
      } else if (child.children === undefined) {
        throw unsupported(path, `lies below ${displayPath(path.subarray(0, end))}, which is not a directory`);
      }
      node = child;
    }
    // A part of a longer string would keep all of it.
    return { directory: node, name: path.toString('latin1', start) };
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
