import { BLOCK_SIZE } from '../../image/entry.js';
import { ImageUnpackerError } from '../../image/error.js';
import { crc32c } from './crc32c.js';
import { damaged } from './damage.js';

/*
 * The superblock: 1024 bytes at byte 1024 of the file system, little endian (Linux documentation,
 * filesystems/ext4/super.rst). Of its fields these are used here:
 *
 *   0x00 inodes u32             0x04 blocks, low u32         0x14 first data block u32
 *   0x18 log2(block size) - 10  0x20 blocks per group u32    0x28 inodes per group u32
 *   0x38 magic u16              0x3A state u16               0x4C revision u32
 *   0x54 first inode u32        0x58 inode size u16          0x5C compatible features u32
 *   0x60 incompatible features  0x64 read-only features      0x68 UUID 16 bytes
 *   0x78 volume name 16 bytes   0x88 last mounted 64 bytes   0xCE reserved descriptor blocks u16
 *   0xE0 journal inode u32      0xE8 last orphan u32         0xFE descriptor size u16
 *   0x150 blocks, high u32      0x175 checksum type u8       0x200 mount options 64 bytes
 *   0x270 checksum seed u32     0x3FC CRC-32C of all before, from ~0
 */

/** Where the superblock is, in bytes from the start of its block. The backups start their blocks. */
export const SUPERBLOCK_OFFSET = 1024;
export const SUPERBLOCK_SIZE = 1024;

const MAGIC = 0xef53;
const CHECKSUM_OFFSET = 0x3fc;
const CRC32C_TYPE = 1;
const STATE_CLEAN = 1;
/** What EBS holds at most, 64 TiB: beyond it a number of blocks is no honest one. */
const MAX_BLOCKS = 2 ** 34;
/** Text that the kernel ends with a zero byte, leaving what was behind it. */
const TEXTS = [
  [0x78, 16],
  [0x88, 64],
  [0x200, 64],
] as const;

const HAS_JOURNAL = 0x4;
const RESIZE_INODE = 0x10;
const NEEDS_RECOVERY = 0x4;
const BITS_64 = 0x80;
const EA_INODE = 0x400;
const CHECKSUM_SEED = 0x2000;
const SPARSE_SUPER = 0x1;
const METADATA_CHECKSUMS = 0x400;

type Names = Readonly<Record<number, string>>;
/** The features that this reader understands; all others are refused, by name where it is known. */
const COMPATIBLE: Names = { 0x4: 'has_journal', 0x8: 'ext_attr', 0x10: 'resize_inode', 0x20: 'dir_index' };
const INCOMPATIBLE: Names = {
  0x2: 'filetype',
  0x40: 'extent',
  0x80: '64bit',
  0x200: 'flex_bg',
  0x400: 'ea_inode',
  0x2000: 'metadata_csum_seed',
};
const READ_ONLY: Names = {
  0x1: 'sparse_super',
  0x2: 'large_file',
  0x8: 'huge_file',
  0x20: 'dir_nlink',
  0x40: 'extra_isize',
  0x400: 'metadata_csum',
};
const FOREIGN_COMPATIBLE: Names = {
  0x1: 'dir_prealloc',
  0x200: 'sparse_super2',
  0x400: 'fast_commit',
  0x800: 'stable_inodes',
  0x1000: 'orphan_file',
};
const FOREIGN_INCOMPATIBLE: Names = {
  0x1: 'compression',
  0x8: 'journal_dev',
  0x10: 'meta_bg',
  0x100: 'mmp',
  0x4000: 'large_dir',
  0x8000: 'inline_data',
  0x10000: 'encrypt',
  0x20000: 'casefold',
};
const FOREIGN_READ_ONLY: Names = {
  0x10: 'uninit_bg',
  0x100: 'quota',
  0x200: 'bigalloc',
  0x1000: 'read-only',
  0x2000: 'project',
  0x4000: 'shared_blocks',
  0x8000: 'verity',
  0x10000: 'orphan_present',
};
/** Without these, much would have to be read in another way. */
const NEEDED = { incompatible: 0x42, readOnly: METADATA_CHECKSUMS };

/** What is needed of a superblock to read the rest. */
export interface Superblock {
  uuid: Buffer;
  blocks: number;
  inodes: number;
  blocksPerGroup: number;
  inodesPerGroup: number;
  inodeSize: number;
  groups: number;
  descriptorSize: number;
  /** Blocks of the table of group descriptors. */
  descriptorBlocks: number;
  /** Blocks after it that are kept free for its growth. */
  reservedDescriptorBlocks: number;
  /** The first inode that is not reserved. */
  firstInode: number;
  /** The inode of the journal, 0 if there is none. */
  journalInode: number;
  sparseSuper: boolean;
  resizeInode: boolean;
  valuesInInodes: boolean;
  /** Where the checksums of metadata start from. */
  seed: number;
}

/**
 * Decodes and checks the 1024 bytes of a superblock. Throws `DEVICE_FOREIGN` if it is none,
 * `VOLUME_DAMAGED` if it contradicts itself, `UNSUPPORTED` naming the features that are not understood,
 * `VOLUME_DOUBTFUL` if the file system was not cleanly unmounted.
 */
export function decodeSuperblock(bytes: Buffer): Superblock {
  if (bytes.readUInt16LE(0x38) !== MAGIC) {
    throw new ImageUnpackerError('DEVICE_FOREIGN', 'There is no ext4 file system');
  }
  const checksummed = (bytes.readUInt32LE(0x64) & METADATA_CHECKSUMS) !== 0;
  const matches =
    bytes[0x175] === CRC32C_TYPE && superblockChecksum(bytes) === bytes.readUInt32LE(CHECKSUM_OFFSET);
  if (checksummed && !matches) throw damaged('the superblock does not match its checksum');
  checkFeatures(bytes);
  checkState(bytes);
  return checkGeometry(decodeGeometry(bytes), bytes);
}

function decodeGeometry(bytes: Buffer): Superblock {
  const compatible = bytes.readUInt32LE(0x5c);
  const incompatible = bytes.readUInt32LE(0x60);
  const high = incompatible & BITS_64 ? bytes.readUInt32LE(0x150) : 0;
  const blocks = high * 2 ** 32 + bytes.readUInt32LE(4);
  const blocksPerGroup = bytes.readUInt32LE(0x20);
  const descriptorSize = incompatible & BITS_64 ? bytes.readUInt16LE(0xfe) : 32;
  const groups = Math.ceil(blocks / blocksPerGroup);
  const uuid = Buffer.from(bytes.subarray(0x68, 0x78));
  return {
    uuid,
    blocks,
    inodes: bytes.readUInt32LE(0),
    blocksPerGroup,
    inodesPerGroup: bytes.readUInt32LE(0x28),
    inodeSize: bytes.readUInt16LE(0x58),
    groups,
    descriptorSize,
    descriptorBlocks: Math.ceil((groups * descriptorSize) / BLOCK_SIZE),
    reservedDescriptorBlocks: compatible & RESIZE_INODE ? bytes.readUInt16LE(0xce) : 0,
    firstInode: bytes.readUInt32LE(0x54),
    journalInode: compatible & HAS_JOURNAL ? bytes.readUInt32LE(0xe0) : 0,
    sparseSuper: (bytes.readUInt32LE(0x64) & SPARSE_SUPER) !== 0,
    resizeInode: (compatible & RESIZE_INODE) !== 0,
    valuesInInodes: (incompatible & EA_INODE) !== 0,
    seed: incompatible & CHECKSUM_SEED ? bytes.readUInt32LE(0x270) : crc32c(0xffffffff, uuid),
  };
}

function checkGeometry(superblock: Superblock, bytes: Buffer): Superblock {
  const logSize = bytes.readUInt32LE(0x18);
  if (logSize !== Math.log2(BLOCK_SIZE) - 10) {
    const size = logSize < 7 ? `${String(2 ** (10 + logSize))} bytes` : 'an impossible size';
    throw new ImageUnpackerError('UNSUPPORTED', `The blocks of the file system have ${size}, not 4096 bytes`);
  }
  const { blocks, blocksPerGroup, inodesPerGroup, inodeSize, groups, inodes, descriptorSize } = superblock;
  const perBlock = BLOCK_SIZE / inodeSize;
  const sound =
    bytes.readUInt32LE(0x4c) === 1 &&
    bytes.readUInt32LE(0x14) === 0 &&
    (descriptorSize === 32 || descriptorSize === 64) &&
    blocksPerGroup >= 8 &&
    blocksPerGroup <= 8 * BLOCK_SIZE &&
    blocksPerGroup % 8 === 0 &&
    inodeSize >= 256 &&
    Number.isInteger(perBlock) &&
    inodesPerGroup >= perBlock &&
    inodesPerGroup <= 8 * BLOCK_SIZE &&
    inodesPerGroup % Math.max(8, perBlock) === 0 &&
    blocks >= 8 &&
    blocks <= MAX_BLOCKS &&
    inodes === groups * inodesPerGroup &&
    superblock.firstInode >= 11 &&
    superblock.firstInode <= inodesPerGroup &&
    (superblock.journalInode === 0 || superblock.journalInode === 8) &&
    1 + superblock.descriptorBlocks + superblock.reservedDescriptorBlocks < blocksPerGroup;
  if (!sound) throw damaged('the superblock holds numbers that do not fit together');
  return superblock;
}

function checkState(bytes: Buffer): void {
  const doubt =
    bytes.readUInt32LE(0x60) & NEEDS_RECOVERY
      ? 'its journal needs recovery'
      : bytes.readUInt16LE(0x3a) !== STATE_CLEAN
        ? 'it was not cleanly unmounted, or the kernel found errors'
        : bytes.readUInt32LE(0xe8) !== 0
          ? 'it has files that are deleted but not yet freed'
          : undefined;
  if (doubt === undefined) return;
  throw new ImageUnpackerError('VOLUME_DOUBTFUL', `The file system is in doubt: ${doubt}`);
}

function checkFeatures(bytes: Buffer): void {
  const unknown = [
    ...unknownFeatures(bytes.readUInt32LE(0x5c), COMPATIBLE, FOREIGN_COMPATIBLE, 'compatible'),
    ...unknownFeatures(
      bytes.readUInt32LE(0x60) & ~NEEDS_RECOVERY,
      INCOMPATIBLE,
      FOREIGN_INCOMPATIBLE,
      'incompatible',
    ),
    ...unknownFeatures(bytes.readUInt32LE(0x64), READ_ONLY, FOREIGN_READ_ONLY, 'read-only'),
  ];
  const missing = [
    ...featureNames(NEEDED.incompatible & ~bytes.readUInt32LE(0x60), INCOMPATIBLE),
    ...featureNames(NEEDED.readOnly & ~bytes.readUInt32LE(0x64), READ_ONLY),
  ];
  const faults = [
    ...(unknown.length > 0 ? [`has features that are not supported: ${unknown.join(', ')}`] : []),
    ...(missing.length > 0 ? [`lacks features that are needed: ${missing.join(', ')}`] : []),
  ];
  if (faults.length === 0) return;
  throw new ImageUnpackerError('UNSUPPORTED', `The file system ${faults.join(' and ')}`);
}

function unknownFeatures(bits: number, known: Names, foreign: Names, kind: string): string[] {
  return bitsOf(bits)
    .filter(bit => known[bit] === undefined)
    .map(bit => foreign[bit] ?? `${kind} feature 0x${bit.toString(16)}`);
}

function featureNames(bits: number, names: Names): string[] {
  return bitsOf(bits).flatMap(bit => names[bit] ?? []);
}

function bitsOf(bits: number): number[] {
  return Array.from({ length: 32 }, (_, shift) => 2 ** shift).filter(bit => (bits & bit) !== 0);
}

function superblockChecksum(bytes: Buffer): number {
  return crc32c(0xffffffff, bytes, 0, CHECKSUM_OFFSET);
}

/**
 * Zeroes what is behind the ends of the texts in a superblock or a copy of it, and renews its checksum.
 * Throws `VOLUME_DAMAGED` if that is not right to begin with.
 */
export function cleanSuperblock(bytes: Buffer): void {
  const sound =
    bytes.readUInt16LE(0x38) === MAGIC && superblockChecksum(bytes) === bytes.readUInt32LE(CHECKSUM_OFFSET);
  if (!sound) throw damaged('a copy of the superblock does not match its checksum');
  for (const [start, length] of TEXTS) {
    const end = bytes.subarray(start, start + length).indexOf(0);
    if (end >= 0) bytes.fill(0, start + end, start + length);
  }
  bytes.writeUInt32LE(superblockChecksum(bytes), CHECKSUM_OFFSET);
}
