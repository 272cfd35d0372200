import test from 'ava';
import fc from 'fast-check';
import { ImageUnpackerError } from '../../../src/image/error.js';
import { crc32c } from '../../../src/volume/ext4/crc32c.js';
import {
  cleanExtentBlock,
  decodeExtentBlock,
  decodeExtentRoot,
  type NodeReference,
} from '../../../src/volume/ext4/extent.js';

const SEED = 0xbeef;
const BLOCKS = 2 ** 33;
const AT: NodeReference = { block: 9, depth: 0, from: 0, to: 2 ** 32 };

/** A node whose entries are given in hex, full of something else behind them. */
function makeNode(depth: number, entries: readonly string[], size: number): Buffer {
  const node = Buffer.alloc(size, 'secret');
  node.writeUInt16LE(0xf30a, 0);
  node.writeUInt16LE(entries.length, 2);
  node.writeUInt16LE(Math.floor((size - 12) / 12), 4);
  node.writeUInt16LE(depth, 6);
  node.writeUInt32LE(0, 8);
  node.write(entries.join(''), 12, 'hex');
  if (size === 4096) node.writeUInt32LE(crc32c(SEED, node, 0, 4092), 4092);
  return node;
}

const makeRoot = (depth: number, ...entries: string[]): Buffer => makeNode(depth, entries, 60);
const makeBlock = (depth: number, ...entries: string[]): Buffer => makeNode(depth, entries, 4096);

const WRITTEN = '00000000' + '0300' + '0100' + '07000000';
const UNWRITTEN = '05000000' + '0280' + '0000' + '20000000';
const LONGEST = '00000100' + '0080' + '0000' + '00100000';

test('extents are read: wide block numbers, unwritten ones, the longest', t => {
  t.deepEqual(decodeExtentRoot(makeRoot(0, WRITTEN, UNWRITTEN, LONGEST), BLOCKS), {
    extents: [
      { logical: 0, physical: 2 ** 32 + 7, count: 3, unwritten: false },
      { logical: 5, physical: 32, count: 2, unwritten: true },
      { logical: 65_536, physical: 4096, count: 32_768, unwritten: false },
    ],
    children: [],
  });
});

test('inner nodes say where their children are, and what those may map', t => {
  const root = makeRoot(
    2,
    '00000000' + '07000000' + '0000' + '5a5a',
    '00010000' + '08000000' + '0100' + '5a5a',
  );
  t.deepEqual(decodeExtentRoot(root, BLOCKS).children, [
    { block: 7, depth: 1, from: 0, to: 256 },
    { block: 2 ** 32 + 8, depth: 1, from: 256, to: 2 ** 32 },
  ]);
});

test('cleaning leaves the entries alone, in leaves and in inner nodes', t => {
  for (const depth of [0, 1]) {
    const block = makeBlock(
      depth,
      '00000000' + '03000000' + '0000' + '0700',
      '05000000' + '02000000' + '0000' + '2000',
    );
    const before = decodeExtentBlock(block, { ...AT, depth }, SEED, BLOCKS);
    cleanExtentBlock(block, SEED);
    t.deepEqual(decodeExtentBlock(block, { ...AT, depth }, SEED, BLOCKS), before);
    t.true(block.subarray(36, 4092).equals(Buffer.alloc(4056)));
    t.is(block.readUInt16LE(22), depth === 0 ? 7 : 0);
  }
});

const HOSTILE: { name: string; node: () => Buffer; at?: Partial<NodeReference> }[] = [
  { name: 'another magic', node: () => makeBlock(0, WRITTEN).fill(1, 0, 1) },
  { name: 'another depth', node: () => makeBlock(1, WRITTEN) },
  { name: 'no entries', node: () => makeBlock(0) },
  { name: 'an extent of no length', node: () => makeBlock(0, '00000000' + '0000' + '0000' + '07000000') },
  { name: 'an extent in block 0', node: () => makeBlock(0, '00000000' + '0100' + '0000' + '00000000') },
  {
    name: 'an extent outside the device',
    node: () => makeBlock(0, '00000000' + '0200' + '0100' + 'ffffffff'),
  },
  {
    name: 'extents that overlap',
    node: () => makeBlock(0, WRITTEN, '02000000' + '0100' + '0000' + '20000000'),
  },
  { name: 'extents out of order', node: () => makeBlock(0, UNWRITTEN, WRITTEN) },
  { name: 'an extent before its node', node: () => makeBlock(0, WRITTEN), at: { from: 1 } },
  { name: 'an extent behind its node', node: () => makeBlock(0, WRITTEN), at: { to: 2 } },
  {
    name: 'children out of order',
    node: () => makeBlock(1, '05000000' + '07000000' + '00000000', '05000000' + '08000000' + '00000000'),
    at: { depth: 1 },
  },
  {
    name: 'a child outside the device',
    node: () => makeBlock(1, '05000000' + '07000000' + 'ffff0000'),
    at: { depth: 1 },
  },
];

test('nodes that contradict themselves are refused', t => {
  for (const { name, node, at } of HOSTILE) {
    const decode = (): unknown => decodeExtentBlock(node(), { ...AT, ...at }, SEED, BLOCKS);
    t.throws(decode, { code: 'VOLUME_DAMAGED' }, name);
  }
  t.throws(() => decodeExtentRoot(makeRoot(6, WRITTEN), BLOCKS), { code: 'VOLUME_DAMAGED' });
  t.throws(() => decodeExtentBlock(makeBlock(0, WRITTEN), AT, SEED + 1, BLOCKS), { code: 'VOLUME_DAMAGED' });
  t.notThrows(() => decodeExtentBlock(makeBlock(0, WRITTEN), AT, SEED, BLOCKS));
});

test('no bytes make the reader do anything but decode or refuse', t => {
  const change = fc.tuple(fc.nat(59), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), changes => {
      const root = makeRoot(0, WRITTEN, UNWRITTEN, LONGEST);
      for (const [at, value] of changes) root[at] = value;
      try {
        decodeExtentRoot(root, BLOCKS);
      } catch (error) {
        t.true(error instanceof ImageUnpackerError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});
