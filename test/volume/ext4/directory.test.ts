import test from 'ava';
import fc from 'fast-check';
import { ImageUnpackerError } from '../../../src/image/error.js';
import { crc32c } from '../../../src/volume/ext4/crc32c.js';
import { cleanDirectoryBlock, decodeDirectoryBlock } from '../../../src/volume/ext4/directory.js';

const SEED = 0xcafe;
const SECRET = 'secret';

interface Slot {
  inode: number;
  name: string;
  length: number;
}

/** A leaf that is full of something else between its names. */
function makeLeaf(slots: readonly Slot[]): Buffer {
  const block = Buffer.alloc(4096, SECRET);
  let at = 0;
  for (const { inode, name, length } of slots) {
    block.writeUInt32LE(inode, at);
    block.writeUInt16LE(length, at + 4);
    block.writeUInt8(name.length, at + 6);
    block.writeUInt8(1, at + 7);
    block.write(name, at + 8, 'latin1');
    at += length;
  }
  block.writeUInt32LE(0, 4084);
  block.writeUInt32LE(0xde00000c, 4088);
  return renewLeaf(block);
}

function renewLeaf(block: Buffer): Buffer {
  block.writeUInt32LE(crc32c(SEED, block, 0, 4084), 4092);
  return block;
}

const SLOTS: Slot[] = [
  { inode: 12, name: '.', length: 12 },
  { inode: 2, name: '..', length: 12 },
  { inode: 0, name: 'secret', length: 40 },
  { inode: 13, name: 'name', length: 1000 },
  { inode: 14, name: 'other', length: 4084 - 1064 },
];

/** The root or another node of an index with two entries, full of something else behind them. */
function makeIndex(kind: 'root' | 'node'): Buffer {
  const block = Buffer.alloc(4096, SECRET);
  const entries = kind === 'root' ? 32 : 8;
  block.fill(0, 0, entries);
  if (kind === 'root') {
    block.write('0c0000000c0001022e000000' + '02000000f40f02022e2e0000' + '0000000001080000', 'hex');
  } else {
    block.writeUInt16LE(4096, 4);
  }
  block.writeUInt16LE((4096 - entries - 8) / 8, entries);
  block.writeUInt16LE(2, entries + 2);
  const crc = crc32c(SEED, block, 0, entries + 16);
  block.writeUInt32LE(crc32c(crc32c(crc, block, 4088, 4092), Buffer.alloc(4)), 4092);
  return block;
}

test('a leaf is read, and cleaning leaves its names alone', t => {
  const block = makeLeaf(SLOTS);
  const names = [
    { name: '.', inode: 12, type: 'file' },
    { name: '..', inode: 2, type: 'file' },
    { name: 'name', inode: 13, type: 'file' },
    { name: 'other', inode: 14, type: 'file' },
  ] as const;
  t.deepEqual(decodeDirectoryBlock(block, 'directory', SEED), [...names]);
  t.deepEqual(decodeDirectoryBlock(block, 'indexed', SEED), [...names]);
  cleanDirectoryBlock(block, 'directory', SEED);
  t.false(block.includes('cre'));
  t.deepEqual(decodeDirectoryBlock(block, 'directory', SEED), [...names]);
});

test('the nodes of an index hold no names, and cleaning leaves their entries alone', t => {
  const root = makeIndex('root');
  const node = makeIndex('node');
  t.deepEqual(
    decodeDirectoryBlock(root, 'indexed-root', SEED).map(({ name, inode }) => [name, inode]),
    [
      ['.', 12],
      ['..', 2],
    ],
  );
  t.deepEqual(decodeDirectoryBlock(node, 'indexed', SEED), []);
  const before = [Buffer.from(root.subarray(0, 48)), Buffer.from(node.subarray(0, 24))];
  cleanDirectoryBlock(root, 'indexed-root', SEED);
  cleanDirectoryBlock(node, 'indexed', SEED);
  t.deepEqual([root.subarray(0, 48), node.subarray(0, 24)], before);
  t.true(root.subarray(48, 4092).equals(Buffer.alloc(4044)));
  t.true(node.subarray(24, 4092).equals(Buffer.alloc(4068)));
  t.notThrows(() => decodeDirectoryBlock(root, 'indexed-root', SEED));
  t.notThrows(() => decodeDirectoryBlock(node, 'indexed', SEED));
});

test('a block of another directory, or with another byte, does not match its checksum', t => {
  const kinds = [
    ['directory', makeLeaf(SLOTS)],
    ['indexed-root', makeIndex('root')],
    ['indexed', makeIndex('node')],
  ] as const;
  for (const [kind, block] of kinds) {
    t.throws(() => decodeDirectoryBlock(block, kind, SEED + 1), { code: 'VOLUME_DAMAGED' }, kind);
    block[16]! ^= 0x40;
    t.throws(() => decodeDirectoryBlock(block, kind, SEED), { code: 'VOLUME_DAMAGED' }, kind);
  }
});

const HOSTILE: { name: string; change: (block: Buffer) => void }[] = [
  { name: 'a record of no length', change: block => block.writeUInt16LE(0, 4) },
  { name: 'a record of odd length', change: block => block.writeUInt16LE(13, 4) },
  { name: 'a record beyond the end', change: block => block.writeUInt16LE(5000, 68) },
  { name: 'a name longer than its record', change: block => block.writeUInt8(200, 6) },
  { name: 'an empty name', change: block => block.writeUInt8(0, 70) },
  { name: 'a slash in a name', change: block => block.write('/', 73) },
  { name: 'a zero byte in a name', change: block => block.writeUInt8(0, 73) },
  { name: 'an unknown type', change: block => block.writeUInt8(8, 71) },
  { name: 'no tail', change: block => block.writeUInt8(0xdf, 4091) },
];

test('directories that contradict themselves are refused', t => {
  for (const { name, change } of HOSTILE) {
    const block = makeLeaf(SLOTS);
    change(block);
    renewLeaf(block);
    t.throws(() => decodeDirectoryBlock(block, 'directory', SEED), { code: 'VOLUME_DAMAGED' }, name);
  }
});

test('no bytes make the reader do anything but decode or refuse', t => {
  const change = fc.tuple(fc.integer({ min: 0, max: 100 }), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), changes => {
      const block = makeLeaf(SLOTS);
      for (const [at, value] of changes) block[at] = value;
      renewLeaf(block);
      try {
        const before = decodeDirectoryBlock(block, 'directory', SEED);
        cleanDirectoryBlock(block, 'directory', SEED);
        t.deepEqual(decodeDirectoryBlock(block, 'directory', SEED), before);
      } catch (error) {
        t.true(error instanceof ImageUnpackerError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});
