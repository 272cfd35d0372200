import type {
  DeviceEntry,
  DirectoryEntry,
  FileEntry,
  LinkEntry,
  PipeEntry,
  SymlinkEntry,
} from '../image/entry.js';

/**
 * What a source tells of one entry, in the order in which the source has it. Names of hard links are
 * not known yet: a further name comes as a `link` to a path that came before.
 */
export type SourceEntry =
  | SourceFile
  | DirectoryEntry
  | Omit<SymlinkEntry, 'names'>
  | Omit<DeviceEntry, 'names'>
  | Omit<PipeEntry, 'names'>
  | LinkEntry;

/** A file and where its data (holes left out) comes from. */
export type SourceFile = Omit<FileEntry, 'names' | 'digest'> & { content: SourceContent };

/**
 * Data of a file: chunks that must be read to their end before the next entry is asked for, or a
 * digest that is known already (with the object in the store).
 */
export type SourceContent =
  { kind: 'stream'; chunks: AsyncIterable<Buffer> } | { kind: 'stored'; digest: Buffer | null };

/** Content that becomes an image: a directory, a tar file, an OCI image. */
export interface Source {
  /**
   * The entries in the source's own order; a later entry replaces an earlier one of the same path.
   * Throws `SOURCE_*` when the source is missing, empty, damaged, or holds what no image can.
   */
  entries(signal?: AbortSignal): AsyncIterable<SourceEntry>;
}
