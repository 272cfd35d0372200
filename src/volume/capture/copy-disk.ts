import { createHash } from 'node:crypto';
import { DISK_BLOCK_SIZE, diskBlocks, type DiskMap } from '../../image/disk-map.js';
import { BLOCK_SIZE } from '../../image/entry.js';
import type { Step } from '../../image/progress.js';
import { readRuns, type BlockReader } from '../ext4/block-reader.js';
import { blockRuns, cleanParts, type DiskRun } from './disk-run.js';
import type { DiskPart } from './disk-part.js';
import type { OutputFile } from './output-file.js';

/** How many digests room is made for at once. */
const DIGESTS_AT_ONCE = 4096;
const DIGEST_SIZE = 32;
const ZEROS = Buffer.alloc(DISK_BLOCK_SIZE);

/** What is copied, from where to where. */
export interface Copy {
  /** The whole disk. */
  reader: BlockReader;
  /** Of the disk, in bytes. */
  size: number;
  /** Sorted and apart from each other; all else counts as zeros. */
  parts: Iterable<DiskPart>;
  /** Left out when only the map is wanted. */
  output: OutputFile | undefined;
  /** Told how many bytes have been gone through. */
  step: Step;
  signal: AbortSignal | undefined;
}

/**
 * Copies the parts of a disk, cleaned, into a sparse file of the size of the disk, reading each block of the
 * disk at most once, and returns the map of what the file holds.
 */
export async function copyDisk({ reader, size, parts, output, step, signal }: Copy): Promise<DiskMap> {
  await output?.resize(size);
  const blocks = diskBlocks(BigInt(size));
  const present = Buffer.alloc(Math.ceil(blocks / 8));
  const digests = new DigestList();
  for await (const pieces of readRuns(reader, blockRuns(parts), signal)) {
    for (const { run, data } of pieces) {
      cleanParts(run, data);
      if (ZEROS.compare(data, 0, data.length, 0, data.length) === 0) continue;
      // The disk is written to by other threads while this one hashes.
      const written = output === undefined ? undefined : writeData(output, run.block, data);
      digests.add(digestOf(run, data));
      present[run.of.index >>> 3]! |= 1 << (run.of.index & 7);
      await written;
    }
    step.update((pieces.at(-1)!.run.of.index + 1) * DISK_BLOCK_SIZE);
  }
  return { size: BigInt(size), present, digests: digests.take() };
}

function digestOf(run: DiskRun, data: Buffer): Buffer {
  const before = run.of.offset;
  const after = DISK_BLOCK_SIZE - before - data.length;
  const hash = createHash('sha256');
  if (before > 0) hash.update(ZEROS.subarray(0, before));
  hash.update(data);
  if (after > 0) hash.update(ZEROS.subarray(0, after));
  return hash.digest();
}

/** Writes what is not zeros, block by block, neighbours together. */
async function writeData(output: OutputFile, first: number, data: Buffer): Promise<void> {
  let start = 0;
  for (let at = 0; at <= data.length; at += BLOCK_SIZE) {
    if (at < data.length && ZEROS.compare(data, at, at + BLOCK_SIZE, 0, BLOCK_SIZE) !== 0) continue;
    if (at > start) await output.write(data.subarray(start, at), first * BLOCK_SIZE + start);
    start = at + BLOCK_SIZE;
  }
}

/** Digests side by side: as objects of their own they would take ten times the room. */
class DigestList {
  readonly #chunks: Buffer[] = [];
  #count = 0;

  add(digest: Buffer): void {
    const at = this.#count++ % DIGESTS_AT_ONCE;
    if (at === 0) this.#chunks.push(Buffer.allocUnsafeSlow(DIGESTS_AT_ONCE * DIGEST_SIZE));
    digest.copy(this.#chunks.at(-1)!, at * DIGEST_SIZE);
  }

  take(): Buffer {
    return Buffer.concat(this.#chunks, this.#count * DIGEST_SIZE);
  }
}
