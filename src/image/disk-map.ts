import { createHash } from 'node:crypto';
import { ImageUnpackerError } from './error.js';

/*
 * The map of a disk, all numbers little endian:
 *
 *   disk-map  = magic version block-size disk-size present digests check
 *   magic     = 89 49 55 44 4D 0D 0A 1A                    ("IUDM" between bytes that text transfer breaks)
 *   version   = u32, 1
 *   block-size = u32, 524288
 *   disk-size = u64, in bytes
 *   present   = a bit for each block, the least significant bit of a byte first, filled up with zeros to
 *               whole bytes: whether the block has a byte that is not zero
 *   digests   = SHA-256 of each block that is present, in order; the last block of the disk is filled up
 *               with zeros to a whole block
 *   check     = SHA-256 of all before
 *
 * The digest of a disk is the SHA-256 of its size (u64) and the digests of all its blocks, present or not.
 */

/** The unit of a disk map, which is that of EBS snapshots: 512 KiB. */
export const DISK_BLOCK_SIZE = 524_288;
/** What EBS holds at most is 64 TiB; a map of more is a damaged one. */
const MAX_DISK_SIZE = 2n ** 46n;

const MAGIC = Buffer.from('894955444d0d0a1a', 'hex');
const VERSION = 1;
const HEADER_SIZE = 24;
const SHA256_SIZE = 32;
/** The SHA-256 of a block of zeros. */
export const ZERO_BLOCK_DIGEST: Buffer = sha256(Buffer.alloc(DISK_BLOCK_SIZE));
/** So many digests of blocks of zeros are hashed at once: disks are mostly empty. */
const ZERO_RUN = 1024;

/** What the blocks of a disk hold. */
export interface DiskMap {
  /** The size of the disk in bytes. */
  size: bigint;
  /** A bit for each block, set if the block is not all zeros. */
  present: Buffer;
  /** The SHA-256 of each block that is present, side by side. */
  digests: Buffer;
}

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** How many blocks a disk of `size` bytes has. */
export function diskBlocks(size: bigint): number {
  return Number((size + BigInt(DISK_BLOCK_SIZE) - 1n) / BigInt(DISK_BLOCK_SIZE));
}

/** The digest of each block of a disk, in order; undefined for a block of zeros. */
export function* blockDigests(map: DiskMap): Generator<Buffer | undefined, void, undefined> {
  let at = 0;
  for (let block = 0; block < diskBlocks(map.size); block++) {
    yield isBlockPresent(map, block) ? map.digests.subarray(at, (at += SHA256_SIZE)) : undefined;
  }
}

/** The digests of the blocks with these numbers, which ascend; those of blocks of zeros as well. */
export function* digestsOfBlocks(
  map: DiskMap,
  numbers: readonly number[],
): Generator<Buffer, void, undefined> {
  let [number, at] = [0, 0];
  for (const digest of blockDigests(map)) {
    if (at === numbers.length) return;
    if (numbers[at] !== number++) continue;
    at++;
    yield digest ?? ZERO_BLOCK_DIGEST;
  }
}

/** Whether a block is not all zeros. */
export function isBlockPresent({ present }: DiskMap, block: number): boolean {
  return ((present[block >>> 3]! >>> (block & 7)) & 1) === 1;
}

/** How many blocks are not all zeros. */
export function usedBlocks(map: DiskMap): number {
  return map.digests.length / SHA256_SIZE;
}

/** The digest of the whole disk. */
export function diskDigest(map: DiskMap): Buffer {
  const hash = createHash('sha256').update(uint64(map.size));
  const zeros = Buffer.alloc(ZERO_RUN * SHA256_SIZE, ZERO_BLOCK_DIGEST);
  let waiting = 0;
  const flush = (): void => {
    if (waiting > 0) hash.update(zeros.subarray(0, waiting * SHA256_SIZE));
    waiting = 0;
  };
  for (const digest of blockDigests(map)) {
    if (digest === undefined) {
      waiting++;
      if (waiting === ZERO_RUN) flush();
    } else {
      flush();
      hash.update(digest);
    }
  }
  flush();
  return hash.digest();
}

/** The blocks of `map` that differ from those of `parent`, where a block that is not there counts as zeros. */
export function changedBlocks(map: DiskMap, parent: DiskMap): number[] {
  const changed: number[] = [];
  const before = blockDigests(parent);
  let block = 0;
  for (const digest of blockDigests(map)) {
    const next = before.next();
    const other = next.done === true ? undefined : next.value;
    const same = digest === undefined || other === undefined ? digest === other : digest.equals(other);
    if (!same) changed.push(block);
    block++;
  }
  return changed;
}

/** A map in its stored form. */
export function encodeDiskMap(map: DiskMap): Buffer {
  const header = Buffer.alloc(HEADER_SIZE);
  MAGIC.copy(header);
  header.writeUInt32LE(VERSION, 8);
  header.writeUInt32LE(DISK_BLOCK_SIZE, 12);
  header.writeBigUInt64LE(map.size, 16);
  const content = Buffer.concat([header, map.present, map.digests]);
  return Buffer.concat([content, sha256(content)]);
}

/**
 * Reads the stored form of a map. Throws `STORE_DAMAGED` unless it is whole and unchanged, `UNSUPPORTED`
 * for a version or block size of the future.
 */
export function decodeDiskMap(bytes: Buffer): DiskMap {
  if (bytes.length < HEADER_SIZE + SHA256_SIZE || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw damaged('it is none');
  }
  const content = bytes.subarray(0, bytes.length - SHA256_SIZE);
  if (!sha256(content).equals(bytes.subarray(content.length)))
    throw damaged('it does not match its checksum');
  const [version, blockSize] = [content.readUInt32LE(8), content.readUInt32LE(12)];
  if (version !== VERSION || blockSize !== DISK_BLOCK_SIZE) {
    const what = `version ${String(version)} with blocks of ${String(blockSize)} bytes`;
    throw new ImageUnpackerError('UNSUPPORTED', `The disk map has ${what}, which this program does not know`);
  }
  const size = content.readBigUInt64LE(16);
  if (size > MAX_DISK_SIZE) throw damaged('the size of the disk is impossible');
  const end = HEADER_SIZE + Math.ceil(diskBlocks(size) / 8);
  const map = { size, present: content.subarray(HEADER_SIZE, end), digests: content.subarray(end) };
  checkMap(map, content.length >= end);
  return map;
}

function checkMap(map: DiskMap, holdsBitmap: boolean): void {
  if (!holdsBitmap) throw damaged('it is too short');
  const blocks = diskBlocks(map.size);
  let count = 0;
  for (let bit = 0; bit < map.present.length * 8; bit++) {
    if (!isBlockPresent(map, bit)) continue;
    if (bit >= blocks) throw damaged('it has blocks beyond the end of the disk');
    count++;
  }
  if (map.digests.length !== count * SHA256_SIZE) throw damaged('the number of its digests is wrong');
  for (const digest of blockDigests(map)) {
    if (digest?.equals(ZERO_BLOCK_DIGEST)) throw damaged('a block of zeros counts as present');
  }
}

function damaged(why: string): ImageUnpackerError {
  return new ImageUnpackerError('STORE_DAMAGED', `The disk map is damaged: ${why}`);
}

function uint64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}
