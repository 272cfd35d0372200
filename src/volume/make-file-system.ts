import { ImageUnpackerError } from '../image/error.js';
import type { ToolOutcome, Watch } from '../native.js';
import { makeFileSystem as runMke2fs, punchZeros } from '../native.js';
import type { BlockDevice } from './device.js';
import { lendDevice } from './device.js';
import type { VolumeIdentity } from './identity.js';
import { formatUuid } from './superblock.js';
import { toolFailure } from './tool.js';

/** How a file system is made. */
export interface FileSystemShape {
  inodes: number;
  /** Size of the journal, in MiB. */
  journal: number;
}

/**
 * Every feature by name, so that the defaults of the machine, which differ, decide nothing. Without
 * orphan_file and metadata_csum_seed, older kernels and boot loaders read it too.
 */
const FEATURES = [
  'none',
  'has_journal',
  'ext_attr',
  'resize_inode',
  'dir_index',
  'filetype',
  'extent',
  '64bit',
  'flex_bg',
  'sparse_super',
  'large_file',
  'huge_file',
  'dir_nlink',
  'extra_isize',
  'metadata_csum',
].join();

/** One inode for so many bytes of the device, as mke2fs has it. */
const BYTES_PER_INODE = 16_384;
/** What a device must have for the larger journal: below, it would take too much of it. */
const SMALL_DEVICE_BYTES = 1n << 30n;
/** Both ends of a device where signatures of other file systems and partition tables lie. */
const SIGNATURE_BYTES = 1n << 20n;
const INODE_BYTES = 256n;
const BLOCK_BYTES = 4096n;
const MIB = 1n << 20n;
/** Blocks of a group: as many as its bitmap of one block has bits. */
const GROUP_BLOCKS = 32_768n;

/** The shape for a device of that size which is to hold so many entries now, with room for it to change. */
export function fileSystemShape(size: bigint, entries: number): FileSystemShape {
  const usual = Number(size / BigInt(BYTES_PER_INODE));
  return {
    inodes: Math.max(usual, entries + (entries >> 2) + 64),
    journal: size < SMALL_DEVICE_BYTES ? 4 : 16,
  };
}

/** About how many bytes of a device of that size such a file system takes for itself; rather too many. */
export function overheadOf(size: bigint, shape: FileSystemShape): bigint {
  const groups = size / (GROUP_BLOCKS * BLOCK_BYTES) + 1n;
  const tables = BigInt(shape.inodes) * INODE_BYTES + groups * (2n * BLOCK_BYTES + 64n);
  // Room that is kept for group descriptors of a larger file system, in each group that has a copy of them.
  const reserved = size / 256n < 96n * MIB ? size / 256n : 96n * MIB;
  return tables + reserved + BigInt(shape.journal) * MIB + MIB;
}

/**
 * Gives up what is on a device: makes all of it read as zeros if the device can do that by itself, else wipes
 * what other programs would know it by. Resolves to whether all is zeros now.
 */
export async function zeroDevice(device: BlockDevice): Promise<boolean> {
  const zeroed = await punchZeros(device.file.fd, device.size);
  if (!zeroed) await wipeSignatures(device);
  return zeroed;
}

/**
 * Makes an ext4 file system on a device that was given up to it. Throws `TOOL_MISSING`, `TOOL_FAILED`,
 * `DEVICE_FAILED`.
 */
export async function makeFileSystem(
  device: BlockDevice,
  identity: VolumeIdentity,
  shape: FileSystemShape,
  zeroed: boolean,
  watch: Watch,
): Promise<void> {
  // Where all reads as zeros, inode tables and journal need not be written; older tools do not know that.
  const attempts = zeroed ? ['assume_storage_prezeroed=1,', ''] : [''];
  let outcome: ToolOutcome | undefined;
  for (const extended of attempts) {
    outcome = await run(device, command(device, identity, shape, extended), watch);
    if (outcome.status === 0) break;
  }
  if (outcome?.status !== 0) {
    const said = outcome?.output.trim() ?? '';
    throw new ImageUnpackerError(
      'TOOL_FAILED',
      `mke2fs could not make a file system on ${device.path}: ${said}`,
      {
        device: device.path,
      },
    );
  }
}

async function run(device: BlockDevice, words: string[], watch: Watch): Promise<ToolOutcome> {
  return lendDevice(device, true, async held => {
    try {
      return await runMke2fs(held.fd, words, watch);
    } catch (reason) {
      throw toolFailure('mke2fs', reason);
    }
  });
}

function command(
  device: BlockDevice,
  identity: VolumeIdentity,
  shape: FileSystemShape,
  extended: string,
): string[] {
  const lazy = extended === '' ? 'lazy_itable_init=0,lazy_journal_init=0,' : extended;
  return [
    'mke2fs',
    ...['-q', '-F', '-t', 'ext4', '-b', String(BLOCK_BYTES), '-I', String(INODE_BYTES)],
    ...[
      '-O',
      identity.renamable === true ? `${FEATURES},metadata_csum_seed` : FEATURES,
      '-m',
      '0',
      '-e',
      'remount-ro',
    ],
    ...['-N', String(shape.inodes), '-J', `size=${String(shape.journal)}`],
    ...['-U', identity.uuid],
    ...['-E', `${lazy}nodiscard,root_owner=0:0,hash_seed=${formatUuid(identity.hashSeed)}`],
    '/proc/self/fd/3',
    String(device.size / BLOCK_BYTES),
  ];
}

async function wipeSignatures(device: BlockDevice): Promise<void> {
  const length = device.size < SIGNATURE_BYTES ? device.size : SIGNATURE_BYTES;
  const zeros = Buffer.alloc(Number(length));
  await device.file.write(zeros, 0, zeros.length, 0);
  await device.file.write(zeros, 0, zeros.length, Number(device.size - length));
}
