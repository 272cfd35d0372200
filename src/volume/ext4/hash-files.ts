import { createHash, hash as hashAtOnce, type Hash } from 'node:crypto';
import { BLOCK_SIZE } from '../../image/entry.js';
import type { ProgressSink } from '../../image/progress.js';
import { readRuns, type Run } from './block-reader.js';
import type { Extent } from './extent.js';
import type { Inode } from './inode.js';
import type { InodeStore } from './inode-store.js';
import type { Ext4Volume } from './volume.js';

const DIGEST_SIZE = 64;

/** The extents of a file that are its data: written, and before its end. */
export function dataExtents(inode: Inode, extents: readonly Extent[]): Extent[] {
  const end = Math.ceil(inode.size / BLOCK_SIZE);
  const data = extents.filter(extent => !extent.unwritten && extent.logical < end);
  return data.map(extent => ({ ...extent, count: Math.min(extent.count, end - extent.logical) }));
}

/** SHA-512 digests of files, side by side in one buffer, by the places of their inodes. */
export class FileDigests {
  readonly #store: InodeStore;
  readonly #digests: Buffer;
  readonly #known: Uint8Array;

  constructor(store: InodeStore) {
    this.#store = store;
    this.#digests = Buffer.allocUnsafeSlow(store.size * DIGEST_SIZE);
    this.#known = new Uint8Array(store.size);
  }

  add(inode: number, digest: Buffer): void {
    const place = this.#store.placeOf(inode)!;
    digest.copy(this.#digests, place * DIGEST_SIZE);
    this.#known[place] = 1;
  }

  /** The digest of a file's data, or null if it has none. */
  get(inode: number): Buffer | null {
    const place = this.#store.placeOf(inode)!;
    if (this.#known[place] === 0) return null;
    return this.#digests.subarray(place * DIGEST_SIZE, (place + 1) * DIGEST_SIZE);
  }
}

/** A file that is being hashed. */
interface Hashing {
  inode: Inode;
  /** Made when the first of several pieces comes: most files are one piece, and hash objects are large. */
  hash: Hash | undefined;
  bytesLeft: number;
}

interface Part {
  file: Hashing;
  logical: number;
}

/** Hashes the data of all files (holes left out), in the order in which they lie on the device. */
export async function hashFiles(
  volume: Ext4Volume,
  store: InodeStore,
  progress: ProgressSink,
): Promise<FileDigests> {
  const { files, total } = filesByPlace(volume, store);
  const digests = new FileDigests(store);
  const step = progress.step('Reading files', 'bytes', total);
  try {
    let done = 0;
    for await (const pieces of readRuns(volume.reader, dataRuns(store, files), volume.signal)) {
      for (const { run, from, data } of pieces) {
        done += hashPiece(run.of, from, data, digests);
      }
      step.update(done);
    }
  } finally {
    step.end();
  }
  return digests;
}

/** The files that have data, by where that begins on the device, and how many bytes it is in all. */
function filesByPlace(volume: Ext4Volume, store: InodeStore): { files: Uint32Array; total: number } {
  const files = new Uint32Array(store.size);
  const starts = new Float64Array(store.size);
  let count = 0;
  let total = 0;
  for (const inode of store.ofType('file')) {
    if (inode.number < volume.superblock.firstInode) continue;
    const extents = dataExtents(inode, store.mapOf(inode).extents);
    if (extents.length === 0) continue;
    files[count++] = inode.number;
    starts[store.placeOf(inode.number)!] = extents[0]!.physical;
    total += dataBytes(inode, extents);
  }
  const startOf = (number: number): number => starts[store.placeOf(number)!]!;
  return { files: files.subarray(0, count).sort((a, b) => startOf(a) - startOf(b)), total };
}

function dataBytes(inode: Inode, extents: readonly Extent[]): number {
  return extents.reduce((sum, { logical, count }) => {
    return sum + Math.min(count * BLOCK_SIZE, inode.size - logical * BLOCK_SIZE);
  }, 0);
}

function* dataRuns(store: InodeStore, files: Uint32Array): Generator<Run<Part>, void, undefined> {
  for (const number of files) {
    const inode = store.get(number)!;
    const extents = dataExtents(inode, store.mapOf(inode).extents);
    const file = { inode, hash: undefined, bytesLeft: dataBytes(inode, extents) };
    for (const { logical, physical, count } of extents) {
      yield { block: physical, count, of: { file, logical } };
    }
  }
}

/** Hashes the part of `data` that is before the end of the file; returns how many bytes that is. */
function hashPiece({ file, logical }: Part, from: number, data: Buffer, digests: FileDigests): number {
  const { inode } = file;
  const length = Math.min(data.length, inode.size - (logical + from) * BLOCK_SIZE);
  const bytes = length === data.length ? data : data.subarray(0, length);
  const last = length === file.bytesLeft;
  file.bytesLeft -= length;
  if (last && file.hash === undefined) {
    digests.add(inode.number, hashAtOnce('sha512', bytes, 'buffer'));
  } else {
    file.hash ??= createHash('sha512');
    file.hash.update(bytes);
    if (last) digests.add(inode.number, file.hash.digest());
  }
  return length;
}
