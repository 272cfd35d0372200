import { ByteWriter } from '../image/encoding.js';
import type { FileEntry, InodeEntry } from '../image/entry.js';
import { PRESERVED_FLAGS, segmentsOf } from '../image/entry.js';
import type { ChangeMetadata, Operation } from '../image/operation.js';
import { nanosecondsOf, secondsOf } from '../image/time.js';
import type { InodeRow } from './known-tree.js';

/*
 * Packs operations for native/patch.cc, whose head has the grammar of a batch, and unpacks its reports.
 */

const CODES: Readonly<Record<Operation['do'], number>> = {
  'make-directory': 1,
  'make-file': 2,
  'make-symlink': 3,
  'make-node': 4,
  link: 5,
  rename: 6,
  unlink: 7,
  'remove-directory': 8,
  change: 9,
  rewrite: 10,
  'set-holes': 12,
  replace: 13,
};
const REPORT = 11;

/** File types as stat(2) has them. */
const FORMATS: Readonly<Record<InodeEntry['type'], number>> = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  character: 0o020000,
  block: 0o060000,
  fifo: 0o010000,
  socket: 0o140000,
};

const OWNER = 1;
const MODE = 2;
const ATTRIBUTES = 4;
const MTIME = 8;
const FLAGS = 16;

/** What a new directory or node may be used for until its metadata is set: nothing, but by root. */
const PRIVATE_DIRECTORY = 0o700;
const PRIVATE = 0o600;

/** Packs operations, and a report on each of the paths after them. */
export function packBatch(operations: readonly Operation[], reports: readonly Buffer[]): Buffer {
  const writer = new BatchWriter();
  for (const operation of operations) writer.operation(operation);
  for (const path of reports) writer.head(REPORT, path);
  return writer.take();
}

/** Packs files and their content for `compareContent`. */
export function packContents(files: readonly FileEntry[]): Buffer {
  const writer = new BatchWriter();
  for (const file of files) writer.pathAndContent(file);
  return writer.take();
}

/** The inodes that were reported, in the order in which they were asked for. */
export function unpackReports(reports: Buffer): InodeRow[] {
  const rows: InodeRow[] = [];
  for (let at = 0; at < reports.length; at += 20) {
    const ctime = reports.readBigInt64LE(at + 8) * 1_000_000_000n + BigInt(reports.readUInt32LE(at + 16));
    rows.push({ inode: Number(reports.readBigUInt64LE(at)), ctime });
  }
  return rows;
}

class BatchWriter {
  readonly #writer = new ByteWriter();

  take(): Buffer {
    return this.#writer.take();
  }

  head(code: number, path: Buffer): void {
    this.#writer.byte(code);
    this.#bytes(path);
  }

  pathAndContent(file: FileEntry): void {
    this.#bytes(file.path);
    this.#content(file);
  }

  operation(operation: Operation): void {
    this.head(CODES[operation.do], operation.path);
    switch (operation.do) {
      case 'make-directory':
        this.#writer.u32(PRIVATE_DIRECTORY);
        return;
      case 'make-file':
      case 'rewrite':
      case 'replace':
        this.#content(operation.entry);
        return;
      case 'set-holes':
        this.#content({ ...operation.entry, digest: null });
        return;
      case 'make-symlink':
        this.#bytes(operation.target);
        return;
      case 'make-node': {
        const { entry } = operation;
        this.#writer.u32(FORMATS[entry.type] | PRIVATE);
        this.#writer.u32('major' in entry ? entry.major : 0);
        this.#writer.u32('minor' in entry ? entry.minor : 0);
        return;
      }
      case 'link':
      case 'rename':
        this.#bytes(operation.to);
        return;
      case 'unlink':
      case 'remove-directory':
        return;
      case 'change':
        this.#change(operation);
    }
  }

  #content(entry: FileEntry): void {
    this.#writer.u64(entry.size);
    this.#writer.byte(entry.digest === null ? 0 : 1);
    if (entry.digest !== null) this.#writer.raw(entry.digest);
    const segments = segmentsOf(entry.size, entry.holes);
    this.#writer.u32(segments.length);
    for (const { offset, length } of segments) {
      this.#writer.u64(offset);
      this.#writer.u64(length);
    }
  }

  #change(change: ChangeMetadata): void {
    const attributes = change.removeXattrs.length + change.setXattrs.length > 0;
    this.#writer.u32(FORMATS[change.type]);
    this.#writer.byte(
      (change.owner ? OWNER : 0) |
        (change.mode === undefined ? 0 : MODE) |
        (attributes ? ATTRIBUTES : 0) |
        (change.mtime === undefined ? 0 : MTIME) |
        (change.flags === undefined ? 0 : FLAGS),
    );
    if (change.owner) {
      this.#writer.u32(change.owner.uid);
      this.#writer.u32(change.owner.gid);
    }
    if (change.mode !== undefined) this.#writer.u32(change.mode);
    if (attributes) this.#attributes(change);
    if (change.mtime !== undefined) {
      this.#writer.i64(secondsOf(change.mtime));
      this.#writer.u32(nanosecondsOf(change.mtime));
    }
    if (change.flags !== undefined) {
      this.#writer.u32(change.flags);
      this.#writer.u32(PRESERVED_FLAGS);
    }
  }

  #attributes(change: ChangeMetadata): void {
    this.#writer.u32(change.removeXattrs.length);
    for (const name of change.removeXattrs) this.#bytes(name);
    this.#writer.u32(change.setXattrs.length);
    for (const { name, value } of change.setXattrs) {
      this.#bytes(name);
      this.#bytes(value);
    }
  }

  #bytes(value: Buffer): void {
    this.#writer.u32(value.length);
    this.#writer.raw(value);
  }
}
