import { execFileSync, spawnSync } from 'node:child_process';
import {
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { BLOCK_SIZE } from '../../src/image/entry.js';
import type { ErrorCode } from '../../src/image/error.js';
import type { BlockReader } from '../../src/volume/ext4/block-reader.js';
import type { BlockUse } from '../../src/volume/ext4/block-use-table.js';
import { crc32c, crc32cOfUint32 } from '../../src/volume/ext4/crc32c.js';
import { refuseDamage } from '../../src/volume/ext4/damage.js';
import { renewInodeChecksum } from '../../src/volume/ext4/inode.js';
import type { Superblock } from '../../src/volume/ext4/superblock.js';
import { surveyVolume } from '../../src/volume/ext4/survey.js';
import { openVolume } from '../../src/volume/ext4/volume.js';
import { mutate } from './mutate.js';
import type { Random } from './random.js';

const IMAGE_BYTES = 8 << 20;
/** How a damaged one is refused. */
export const EXT4_CODES: readonly ErrorCode[] = [
  'VOLUME_DAMAGED',
  'VOLUME_DOUBTFUL',
  'UNSUPPORTED',
  'DEVICE_FOREIGN',
];
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;

/** A small file system with one of every kind of block, made without a mount. */
export function makeImage(directory: string): Buffer {
  const [tree, image] = [join(directory, 'tree'), join(directory, 'image')];
  mkdirSync(join(tree, 'many'), { recursive: true });
  writeFileSync(join(tree, 'file'), 'content');
  linkSync(join(tree, 'file'), join(tree, 'second'));
  symlinkSync('short', join(tree, 'short'));
  symlinkSync('long '.repeat(50), join(tree, 'long'));
  for (let number = 0; number < 120; number++)
    writeFileSync(join(tree, 'many', `${'n'.repeat(60)}${String(number)}`), '');
  const sparse = openSync(join(tree, 'sparse'), 'w');
  for (let block = 0; block < 12; block += 2) writeSync(sparse, 'data', block * BLOCK_SIZE);
  const big = 'v'.repeat(500);
  spawnSync('setfattr', ['-n', 'user.small', '-v', 'x', join(tree, 'file')]);
  spawnSync('setfattr', ['-n', 'user.big', '-v', big, join(tree, 'sparse')]);
  writeFileSync(image, '');
  truncateSync(image, IMAGE_BYTES);
  const options = [
    '-q',
    '-F',
    '-t',
    'ext4',
    '-b',
    String(BLOCK_SIZE),
    '-N',
    '256',
    '-O',
    '^has_journal,^orphan_file',
  ];
  execFileSync('mke2fs', [...options, '-d', tree, image], { stdio: 'pipe', env: { ...process.env, PATH } });
  return readFileSync(image);
}

/** Reads what is in memory. */
export function readerOf(image: Buffer): BlockReader {
  return {
    blocks: image.length / BLOCK_SIZE,
    read: (block, count, into) => {
      image.copy(into, 0, block * BLOCK_SIZE, (block + count) * BLOCK_SIZE);
      return Promise.resolve();
    },
  };
}

/** What is known of the image before anything is changed. */
export interface Sound {
  superblock: Superblock;
  uses: BlockUse[];
  /** The first block of the inode table of each group. */
  tables: number[];
}

/** Looks at the image before anything is changed. */
export async function examine(image: Buffer): Promise<Sound> {
  const volume = await openVolume(readerOf(image), refuseDamage);
  const { uses } = await surveyVolume(volume);
  const meaningful = [...uses].filter(({ kind }) => !['data', 'tail', 'zero'].includes(kind));
  return {
    superblock: volume.superblock,
    uses: meaningful,
    tables: volume.groups.map(group => group.inodeTable),
  };
}

/** Changes a part of a block; `changed` keeps what it was. */
export function change(image: Buffer, sound: Sound, random: Random, changed: Map<number, Buffer>): void {
  const use = random.of(sound.uses);
  const number = use.start + random.below(use.count);
  const block = image.subarray(number * BLOCK_SIZE, (number + 1) * BLOCK_SIZE);
  if (!changed.has(number)) changed.set(number, Buffer.from(block));
  const other = random.of(sound.uses).start * BLOCK_SIZE;
  const [start, length] = partOf(use, block, random);
  const part = block.subarray(start, start + length);
  mutate(part, random, image.subarray(other, other + BLOCK_SIZE), true).copy(part);
  if (!random.onceIn(20)) renew(block, number, use, sound);
}

/** Where in a block a change is worth most: where something is. */
function partOf({ kind, of }: BlockUse, block: Buffer, random: Random): [start: number, length: number] {
  if (kind === 'superblock') return of === 0 ? [1024, 1020] : [0, 1020];
  if (kind === 'inode-table') return [random.below(BLOCK_SIZE / 256) * 256, 256];
  let end = BLOCK_SIZE;
  while (end > 64 && block[end - 1] === 0) end--;
  return [0, random.onceIn(3) ? BLOCK_SIZE : Math.min(end, 512)];
}

/** Makes the checksum of a block right, whatever is in it; the grammars stand in src/volume/ext4/. */
function renew(block: Buffer, number: number, { kind, of }: BlockUse, { superblock, tables }: Sound): void {
  const { seed, descriptorSize, inodeSize, inodesPerGroup } = superblock;
  if (kind === 'superblock') {
    const start = of === 0 ? 1024 : 0;
    block.writeUInt32LE(crc32c(0xffffffff, block, start, start + 0x3fc), start + 0x3fc);
  } else if (kind === 'descriptors') {
    for (let index = 0; index < superblock.groups && (index + 1) * descriptorSize <= BLOCK_SIZE; index++) {
      const bytes = block.subarray(index * descriptorSize, (index + 1) * descriptorSize);
      bytes.writeUInt16LE(0, 0x1e);
      bytes.writeUInt16LE(crc32c(crc32cOfUint32(seed, index), bytes) & 0xffff, 0x1e);
    }
  } else if (kind === 'inode-table') {
    const first = of * inodesPerGroup + ((number - tables[of]!) * BLOCK_SIZE) / inodeSize + 1;
    for (let at = 0; at < BLOCK_SIZE; at += inodeSize) {
      const inode = block.subarray(at, at + inodeSize);
      if (inode.some(byte => byte !== 0)) renewInodeChecksum(inode, first + at / inodeSize, seed);
    }
  } else if (kind === 'extent-node') {
    block.writeUInt32LE(crc32c(of, block, 0, BLOCK_SIZE - 4), BLOCK_SIZE - 4);
  } else if (kind === 'xattrs') {
    block.writeUInt32LE(0, 0x10);
    block.writeUInt32LE(crc32c(crc32cOfUint32(crc32cOfUint32(seed, number), 0), block), 0x10);
  } else if (kind === 'indexed-root' || (kind === 'indexed' && block.readUInt16LE(4) === BLOCK_SIZE)) {
    const entries = kind === 'indexed-root' ? 32 : 8;
    const end = Math.min(entries + block.readUInt16LE(entries + 2) * 8, BLOCK_SIZE - 8);
    const crc = crc32c(crc32c(of, block, 0, end), block, BLOCK_SIZE - 8, BLOCK_SIZE - 4);
    block.writeUInt32LE(crc32c(crc, Buffer.alloc(4)), BLOCK_SIZE - 4);
  } else if (kind === 'directory' || kind === 'indexed') {
    block.writeUInt32LE(crc32c(of, block, 0, BLOCK_SIZE - 12), BLOCK_SIZE - 4);
  }
}
