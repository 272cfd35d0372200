import { createHash, type Hash } from 'node:crypto';
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

/** SHA-512 digests by inode, side by side in one buffer. */
export class FileDigests {
  readonly #places = new Map<number, number>();
  readonly #digests: Buffer;

  constructor(capacity: number) {
    this.#digests = Buffer.allocUnsafeSlow(capacity * DIGEST_SIZE);
  }

  add(inode: number, digest: Buffer): void {
    const place = this.#places.size * DIGEST_SIZE;
    digest.copy(this.#digests, place);
    this.#places.set(inode, place);
  }

  /** The digest of a file's data, or null if it has none. */
  get(inode: number): Buffer | null {
    const place = this.#places.get(inode);
    return place === undefined ? null : this.#digests.subarray(place, place + DIGEST_SIZE);
  }
}

/** A file that is being hashed. */
interface Hashing {
  inode: Inode;
  hash: Hash;
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
  const files: { number: number; block: number }[] = [];
  let total = 0;
  for (const inode of store) {
    if (inode.type !== 'file' || inode.number < volume.superblock.firstInode) continue;
    const extents = dataExtents(inode, store.mapOf(inode).extents);
    if (extents.length > 0) files.push({ number: inode.number, block: extents[0]!.physical });
    total += dataBytes(inode, extents);
  }
  files.sort((a, b) => a.block - b.block);
  const digests = new FileDigests(files.length);
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

function dataBytes(inode: Inode, extents: readonly Extent[]): number {
  return extents.reduce((sum, { logical, count }) => {
    return sum + Math.min(count * BLOCK_SIZE, inode.size - logical * BLOCK_SIZE);
  }, 0);
}

function* dataRuns(
  store: InodeStore,
  files: readonly { number: number }[],
): Generator<Run<Part>, void, undefined> {
  for (const { number } of files) {
    const inode = store.get(number)!;
    const extents = dataExtents(inode, store.mapOf(inode).extents);
    const file = { inode, hash: createHash('sha512'), bytesLeft: dataBytes(inode, extents) };
    for (const { logical, physical, count } of extents) {
      yield { block: physical, count, of: { file, logical } };
    }
  }
}

/** Hashes the part of `data` that is before the end of the file; returns how many bytes that is. */
function hashPiece({ file, logical }: Part, from: number, data: Buffer, digests: FileDigests): number {
  const { inode, hash } = file;
  const length = Math.min(data.length, inode.size - (logical + from) * BLOCK_SIZE);
  hash.update(length === data.length ? data : data.subarray(0, length));
  file.bytesLeft -= length;
  if (file.bytesLeft === 0) digests.add(inode.number, hash.digest());
  return length;
}
