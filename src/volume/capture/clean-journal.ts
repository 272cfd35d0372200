import { ImageUnpackerError } from '../../image/error.js';
import { crc32c } from '../ext4/crc32c.js';
import { damaged } from '../ext4/damage.js';

/*
 * The superblock of a journal: 1024 bytes at the start of its first block, big endian (Linux documentation,
 * filesystems/ext4/journal.rst):
 *
 *   0x00 magic u32   0x04 block type u32   0x1C first block of the log u32, 0: nothing to recover
 *   0x28 incompatible features u32         0xFC CRC-32C u32, from ~0, of all with zero in its place
 */

const MAGIC = 0xc03b3998;
const SUPERBLOCK_VERSION_2 = 4;
const SIZE = 1024;
const CHECKSUM_OFFSET = 0xfc;
const CHECKSUM_FEATURES = 0x8 | 0x10;

/** Checks that a journal is clean, and zeroes what is behind its superblock. Throws `VOLUME_*`. */
export function cleanJournalSuperblock(block: Buffer): void {
  if (block.readUInt32BE(0) !== MAGIC || block.readUInt32BE(4) !== SUPERBLOCK_VERSION_2) {
    throw damaged('the journal has no superblock');
  }
  if ((block.readUInt32BE(0x28) & CHECKSUM_FEATURES) !== 0) {
    const checked = Buffer.from(block.subarray(0, SIZE)).fill(0, CHECKSUM_OFFSET, CHECKSUM_OFFSET + 4);
    if (crc32c(0xffffffff, checked) !== block.readUInt32BE(CHECKSUM_OFFSET)) {
      throw damaged('the superblock of the journal does not match its checksum');
    }
  }
  if (block.readUInt32BE(0x1c) !== 0) {
    throw new ImageUnpackerError('VOLUME_DOUBTFUL', 'The file system is in doubt: its journal is not empty');
  }
  block.fill(0, SIZE);
}
