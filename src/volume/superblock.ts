import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { Ext4Limits } from '../image/ext4-limits.js';

/*
 * What the engine needs to know of an ext4 file system without mounting it: whose it is, whether it was
 * left in order, and whether anybody has written to it since (Documentation/filesystems/ext4/super.rst).
 */

const SUPERBLOCK_OFFSET = 1024;
const SUPERBLOCK_BYTES = 1024;
const MAGIC = 0xef53;
const STATE_CLEAN = 1;
const STATE_ERRORS = 2;
const INCOMPATIBLE_RECOVER = 0x4;
const INCOMPATIBLE_CHECKSUM_SEED = 0x2000;
const INCOMPATIBLE_EA_INODE = 0x400;
/** Fields of the first inodes that there were, and those that the kernel has added since. */
const GOOD_OLD_INODE_BYTES = 128;
const KNOWN_EXTRA_BYTES = 32;

/** The first superblock of an ext4 file system. */
export interface Superblock {
  /** As it is written: 8-4-4-4-12 hex digits. */
  uuid: string;
  /** Whether the UUID can be another without all checksums being others: it is then each image's own. */
  renamable: boolean;
  /** By what knowledge of the volume is kept: its UUID, or, where that changes, the seed of directory hashes. */
  key: string;
  /** The seed of directory hashes, 16 bytes, which carries the mark of our volumes. */
  hashSeed: Buffer;
  /** It was unmounted in order: no journal to replay, no errors recorded. */
  clean: boolean;
  /** The kernel found it damaged. */
  errors: boolean;
  blocks: bigint;
  freeBlocks: bigint;
  inodes: number;
  freeInodes: number;
  /** What inodes can hold. */
  limits: Ext4Limits;
  /** Blocks of metadata that are there from the beginning. */
  overhead: number;
  /**
   * SHA-256 of the superblock. It holds the UUID, the count of mounts, the times of the last mount and
   * write and a checksum: whoever mounts the file system for writing changes it.
   */
  fingerprint: string;
}

/** Reads the superblock of what begins at byte `start` of a device; undefined when there is no ext4 file system. */
export async function readSuperblock(file: FileHandle, start = 0): Promise<Superblock | undefined> {
  const bytes = Buffer.alloc(SUPERBLOCK_BYTES);
  const { bytesRead } = await file.read(bytes, 0, SUPERBLOCK_BYTES, start + SUPERBLOCK_OFFSET);
  if (bytesRead < SUPERBLOCK_BYTES || bytes.readUInt16LE(0x38) !== MAGIC) return undefined;
  return decodeSuperblock(bytes);
}

/** Decodes a superblock whose magic number is right. */
export function decodeSuperblock(bytes: Buffer): Superblock {
  const state = bytes.readUInt16LE(0x3a);
  const uuid = formatUuid(bytes.subarray(0x68, 0x78));
  const renamable = (bytes.readUInt32LE(0x60) & INCOMPATIBLE_CHECKSUM_SEED) !== 0;
  const recover = (bytes.readUInt32LE(0x60) & INCOMPATIBLE_RECOVER) !== 0;
  const wide = (low: number, high: number): bigint =>
    BigInt(bytes.readUInt32LE(low)) | (BigInt(bytes.readUInt32LE(high)) << 32n);
  return {
    uuid,
    renamable,
    key: renamable ? formatUuid(bytes.subarray(0xec, 0xfc)) : uuid,
    hashSeed: Buffer.from(bytes.subarray(0xec, 0xfc)),
    clean: (state & STATE_CLEAN) !== 0 && (state & STATE_ERRORS) === 0 && !recover,
    errors: (state & STATE_ERRORS) !== 0,
    blocks: wide(0x4, 0x150),
    freeBlocks: wide(0xc, 0x158),
    inodes: bytes.readUInt32LE(0x0),
    freeInodes: bytes.readUInt32LE(0x10),
    limits: decodeLimits(bytes),
    overhead: bytes.readUInt32LE(0x248),
    fingerprint: createHash('sha256').update(bytes).digest('hex'),
  };
}

/** What the kernel makes of it: new inodes have the fields that it knows, or more (ext4_load_super). */
function decodeLimits(bytes: Buffer): Ext4Limits {
  const inodeBytes = bytes.readUInt16LE(0x58);
  const incompatible = bytes.readUInt32LE(0x60);
  const extra = Math.max(KNOWN_EXTRA_BYTES, bytes.readUInt16LE(0x15c), bytes.readUInt16LE(0x15e));
  const fieldBytes = Math.min(inodeBytes, GOOD_OLD_INODE_BYTES + extra);
  return { inodeBytes, fieldBytes, valuesInInodes: (incompatible & INCOMPATIBLE_EA_INODE) !== 0 };
}

/** 16 bytes as a UUID is written. */
export function formatUuid(bytes: Buffer): string {
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
