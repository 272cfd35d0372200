import type { Entry, InodeEntry, Metadata, Xattr } from '../../src/image/entry.js';
import { INODE_FLAGS } from '../../src/image/entry.js';
import type { Operation } from '../../src/image/operation.js';
import { comparePaths, isBelow, parentPath } from '../../src/image/path.js';
import type { Inode } from './tree.js';

/*
 * A naive file system in memory that does what the kernel does, with all that stands in the way: what is
 * there already, directories that are not empty, immutable inodes; new content and new owners take
 * privileges away, every change of a directory changes its time, and directories hand things on.
 */

const BLOCKING = INODE_FLAGS.immutable | INODE_FLAGS.append;
const NOW = 999n;
const DEFAULT_ACL = Buffer.from('system.posix_acl_default');
const ACCESS_ACL = Buffer.from('system.posix_acl_access');

export class ModelFileSystem {
  readonly #inodes = new Map<string, Inode>();

  constructor(entries: readonly Entry[]) {
    for (const entry of entries) {
      if (entry.type === 'link') this.#inodes.set(key(entry.path), this.#at(entry.target));
      else this.#inodes.set(key(entry.path), stripped(entry));
    }
  }

  /** The tree as entries in order. */
  entries(): Entry[] {
    const groups = new Map<Inode, Buffer[]>();
    for (const [path, inode] of this.#inodes) {
      groups.set(inode, [...(groups.get(inode) ?? []), Buffer.from(path, 'latin1')]);
    }
    const entries: Entry[] = [];
    for (const [inode, paths] of groups) {
      const [path, ...names] = paths.sort(comparePaths);
      if (inode.type === 'directory') {
        entries.push({ ...inode, path: path! });
        continue;
      }
      entries.push({ ...inode, path: path!, names });
      entries.push(...names.map(at => ({ type: 'link' as const, path: at, target: path! })));
    }
    return entries.sort((a, b) => comparePaths(a.path, b.path));
  }

  run(operations: readonly Operation[]): void {
    for (const operation of operations) this.#perform(operation);
  }

  #perform(operation: Operation): void {
    const { path } = operation;
    switch (operation.do) {
      case 'make-directory':
        this.#make(path, { type: 'directory', ...this.#fresh(path, 'directory') });
        return;
      case 'make-file': {
        const { size, holes, digest } = operation.entry;
        this.#make(path, { type: 'file', ...this.#fresh(path, 'file'), size, holes, digest });
        return;
      }
      case 'make-symlink':
        this.#make(path, {
          type: 'symlink',
          ...this.#fresh(path, 'symlink'),
          mode: 0o777,
          target: operation.target,
        });
        return;
      case 'make-node':
        this.#make(path, { ...stripped(operation.entry), ...this.#fresh(path, operation.entry.type) });
        return;
      case 'link':
        this.#unblocked(this.#at(path));
        this.#make(operation.to, this.#at(path));
        return;
      case 'rename': {
        const below = [...this.#inodes].filter(([other]) => isBelow(Buffer.from(other, 'latin1'), path));
        const inode = this.#remove(path);
        this.#make(operation.to, inode);
        for (const [other, child] of below) {
          this.#inodes.delete(other);
          this.#inodes.set(key(operation.to) + other.slice(path.length), child);
        }
        return;
      }
      case 'unlink':
        if (this.#remove(path).type === 'directory') throw new Error(`unlink of a directory: ${key(path)}`);
        return;
      case 'remove-directory':
        if ([...this.#inodes.keys()].some(other => isBelow(Buffer.from(other, 'latin1'), path))) {
          throw new Error(`not empty: ${key(path)}`);
        }
        if (this.#remove(path).type !== 'directory') throw new Error(`not a directory: ${key(path)}`);
        return;
      case 'rewrite':
      case 'replace':
      case 'set-holes': {
        const inode = this.#unblocked(this.#at(path));
        const { size, holes, digest } = operation.entry;
        Object.assign(inode, { size, holes, digest, mtime: NOW });
        losePrivileges(inode);
        return;
      }
      case 'change':
        this.#change(operation);
    }
  }

  #change(change: Extract<Operation, { do: 'change' }>): void {
    const inode = this.#at(change.path);
    if (inode.type !== change.type) throw new Error(`${key(change.path)} is a ${inode.type}`);
    const attributes = change.removeXattrs.length + change.setXattrs.length;
    const onlyFlags =
      !change.owner && change.mode === undefined && change.mtime === undefined && attributes === 0;
    if (!onlyFlags) this.#unblocked(inode);
    if (change.owner) {
      Object.assign(inode, change.owner);
      if (inode.type !== 'directory') losePrivileges(inode);
    }
    if (change.mode !== undefined) inode.mode = change.mode;
    const kept = inode.xattrs.filter(
      ({ name }) =>
        !change.removeXattrs.some(other => other.equals(name)) &&
        !change.setXattrs.some(other => other.name.equals(name)),
    );
    inode.xattrs = [...kept, ...change.setXattrs].sort((a, b) => Buffer.compare(a.name, b.name));
    if (change.mtime !== undefined) inode.mtime = change.mtime;
    if (change.flags !== undefined) inode.flags = change.flags;
  }

  #make(path: Buffer, inode: Inode): void {
    if (this.#inodes.has(key(path))) throw new Error(`is there already: ${key(path)}`);
    this.#touch(path);
    this.#inodes.set(key(path), inode);
  }

  #remove(path: Buffer): Inode {
    const inode = this.#unblocked(this.#at(path));
    this.#touch(path);
    this.#inodes.delete(key(path));
    return inode;
  }

  #touch(path: Buffer): void {
    const parent = this.#unblocked(this.#at(parentPath(path)));
    if (parent.type !== 'directory') throw new Error(`not in a directory: ${key(path)}`);
    parent.mtime = NOW;
  }

  /** What a new inode begins with. */
  #fresh(path: Buffer, type: Inode['type']): Metadata {
    const parent = this.#at(parentPath(path));
    const flags =
      parent.flags & (INODE_FLAGS.nodump | INODE_FLAGS.sync | INODE_FLAGS.noatime | INODE_FLAGS.dirsync);
    const xattrs = this.#handedOn(path, type);
    return { mode: 0o600, uid: 0, gid: parent.mode & 0o2000 ? parent.gid : 0, mtime: NOW, flags, xattrs };
  }

  /** The ACL that a new inode takes over from its directory. */
  #handedOn(path: Buffer, type: Inode['type']): Xattr[] {
    const acl = this.#at(parentPath(path)).xattrs.find(({ name }) => name.equals(DEFAULT_ACL));
    if (acl === undefined || type === 'symlink') return [];
    return [{ ...acl, name: type === 'directory' ? DEFAULT_ACL : ACCESS_ACL }];
  }

  #at(path: Buffer): Inode {
    const inode = this.#inodes.get(key(path));
    if (inode === undefined) throw new Error(`not there: ${key(path)}`);
    return inode;
  }

  #unblocked(inode: Inode): Inode {
    if ((inode.flags & BLOCKING) !== 0)
      throw new Error('not permitted: the inode is immutable or append-only');
    return inode;
  }
}

function losePrivileges(inode: Inode): void {
  inode.mode &= ~0o6000;
  inode.xattrs = inode.xattrs.filter(({ name }) => name.toString() !== 'security.capability');
}

function stripped(entry: InodeEntry): Inode {
  const { path: _path, ...rest } = entry;
  if ('names' in rest) {
    const { names: _names, ...inode } = rest;
    return inode;
  }
  return rest;
}

function key(path: Buffer): string {
  return path.toString('latin1');
}
