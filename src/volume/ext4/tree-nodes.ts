import type { InodeStore } from './inode-store.js';

const NO_NODE = -1;

/**
 * The names of a tree, numbered from the root (0) in the order of their paths. A tree has several for each
 * of a hundred thousand files, so a node knows its name and its parent, and no path.
 */
export class Tree {
  readonly #store: InodeStore;
  readonly #names: string[] = [];
  readonly #parents: number[] = [];
  readonly #inodes: number[] = [];
  readonly #lengths: number[] = [];
  /** The first node of each inode, by its place. */
  readonly #first: Int32Array;
  /** All nodes of the inodes that have more than one. */
  readonly #several = new Map<number, number[]>();

  constructor(store: InodeStore) {
    this.#store = store;
    this.#first = new Int32Array(store.size).fill(NO_NODE);
  }

  get length(): number {
    return this.#names.length;
  }

  /** Adds a name (Latin-1, a character for each byte) of an inode that is in the store. */
  add(parent: number, name: string, inode: number): number {
    const node = this.#names.length;
    this.#names.push(name);
    this.#parents.push(parent);
    this.#inodes.push(inode);
    this.#lengths.push(node === 0 ? 0 : this.#lengths[parent]! + 1 + name.length);
    const place = this.#store.placeOf(inode)!;
    const first = this.#first[place]!;
    if (first === NO_NODE) this.#first[place] = node;
    else if (!this.#several.get(inode)?.push(node)) this.#several.set(inode, [first, node]);
    return node;
  }

  inodeOf(node: number): number {
    return this.#inodes[node]!;
  }

  hasName(inode: number): boolean {
    return this.nodesOf(inode).length > 0;
  }

  /** All nodes of an inode, the first one first. */
  nodesOf(inode: number): readonly number[] {
    const several = this.#several.get(inode);
    if (several !== undefined) return several;
    const place = this.#store.placeOf(inode);
    const first = place === undefined ? NO_NODE : this.#first[place]!;
    return first === NO_NODE ? [] : [first];
  }

  /** An upper bound of the length of a node's path in bytes. */
  pathLength(node: number): number {
    return this.#lengths[node]!;
  }

  pathOf(node: number): Buffer {
    const names: string[] = [];
    for (let at = node; at > 0; at = this.#parents[at]!) names.push(this.#names[at]!);
    return Buffer.from(names.reverse().join('/'), 'latin1');
  }
}
