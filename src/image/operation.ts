import type { DeviceEntry, FileEntry, InodeEntry, Metadata, PipeEntry, Xattr } from './entry.js';

/*
 * What a plan consists of: operations on paths of a tree, to be carried out in their order. None follows
 * a symbolic link.
 */

/** Makes a directory, with no rights but the owner's. */
export interface MakeDirectory {
  do: 'make-directory';
  path: Buffer;
}

/** Makes a regular file with the content of `entry`; nothing is at `path`. */
export interface MakeFile {
  do: 'make-file';
  path: Buffer;
  entry: FileEntry;
}

export interface MakeSymlink {
  do: 'make-symlink';
  path: Buffer;
  target: Buffer;
}

/** Makes a device, fifo or socket. */
export interface MakeNode {
  do: 'make-node';
  path: Buffer;
  entry: DeviceEntry | PipeEntry;
}

/** Gives the inode at `path` the further name `to`, where nothing is. */
export interface Link {
  do: 'link';
  path: Buffer;
  to: Buffer;
}

/** Moves the inode at `path` to `to`, where nothing is. */
export interface Rename {
  do: 'rename';
  path: Buffer;
  to: Buffer;
}

/** Removes a name of an inode that is no directory. */
export interface Unlink {
  do: 'unlink';
  path: Buffer;
}

/** Removes an empty directory. */
export interface RemoveDirectory {
  do: 'remove-directory';
  path: Buffer;
}

/** Makes the content of the regular file at `path` that of `entry`, writing only blocks that differ. */
export interface Rewrite {
  do: 'rewrite';
  path: Buffer;
  entry: FileEntry;
}

/** Makes the content of the regular file at `path` that of `entry`, in blocks other than it had. */
export interface Replace {
  do: 'replace';
  path: Buffer;
  entry: FileEntry;
}

/** Makes the holes of the regular file at `path` those of `entry`, where its content differs in nothing else. */
export interface SetHoles {
  do: 'set-holes';
  path: Buffer;
  entry: FileEntry;
}

/** Changes metadata of the inode at `path`, in the order of the fields. */
export interface ChangeMetadata {
  do: 'change';
  path: Buffer;
  /** What the inode must be. */
  type: InodeEntry['type'];
  owner?: Pick<Metadata, 'uid' | 'gid'>;
  mode?: number;
  removeXattrs: readonly Buffer[];
  setXattrs: readonly Xattr[];
  mtime?: bigint;
  /** All of the flags that an image preserves, as they shall be. */
  flags?: number;
}

export type Operation =
  | MakeDirectory
  | MakeFile
  | MakeSymlink
  | MakeNode
  | Link
  | Rename
  | Unlink
  | RemoveDirectory
  | Rewrite
  | Replace
  | SetHoles
  | ChangeMetadata;
