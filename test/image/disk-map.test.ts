import { createHash } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import {
  blockDigests,
  digestsOfBlocks,
  changedBlocks,
  decodeDiskMap,
  diskBlocks,
  diskDigest,
  DISK_BLOCK_SIZE,
  encodeDiskMap,
  usedBlocks,
  ZERO_BLOCK_DIGEST,
  type DiskMap,
} from '../../src/image/disk-map.js';
import { ImageUnpackerError } from '../../src/image/error.js';

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(bytes => Buffer.from(bytes));
const blocks = fc.array(fc.option(digest, { nil: undefined }), { maxLength: 40 });

/** The map of a disk whose blocks have these digests, its last block `short` bytes short of a whole one. */
function mapOf(digests: readonly (Buffer | undefined)[], short = 0): DiskMap {
  const present = Buffer.alloc(Math.ceil(digests.length / 8));
  digests.forEach((one, index) => {
    if (one !== undefined) present[index >>> 3]! |= 1 << (index & 7);
  });
  const size = Math.max(0, digests.length * DISK_BLOCK_SIZE - short);
  return { size: BigInt(size), present, digests: Buffer.concat(digests.filter(one => one !== undefined)) };
}

test('the form of a map is as documented', t => {
  const first = Buffer.alloc(32, 1);
  const third = Buffer.alloc(32, 3);
  const encoded = encodeDiskMap(mapOf([first, undefined, third], 512));
  const content =
    '894955444d0d0a1a' +
    '01000000' +
    '00000800' +
    '00fe170000000000' +
    '05' +
    '01'.repeat(32) +
    '03'.repeat(32);
  t.is(encoded.toString('hex', 0, encoded.length - 32), content);
  t.is(
    encoded.toString('hex', encoded.length - 32),
    createHash('sha256').update(Buffer.from(content, 'hex')).digest('hex'),
  );
  t.is(ZERO_BLOCK_DIGEST.toString('hex'), createHash('sha256').update(Buffer.alloc(524_288)).digest('hex'));
});

test('a map is read as it was written', t => {
  fc.assert(
    fc.property(blocks, fc.nat(DISK_BLOCK_SIZE - 1), (digests, short) => {
      const map = mapOf(digests, short);
      t.deepEqual(decodeDiskMap(encodeDiskMap(map)), map);
      t.deepEqual([...blockDigests(map)], digests);
      t.is(usedBlocks(map), digests.filter(one => one !== undefined).length);
    }),
  );
});

test('the digests of some blocks are those that they have in the whole map, zeros included', t => {
  fc.assert(
    fc.property(blocks, fc.infiniteStream(fc.boolean()), (digests, choices) => {
      const chosen = [...digests.keys()].filter(() => choices.next().value);
      t.deepEqual(
        [...digestsOfBlocks(mapOf(digests), chosen)],
        chosen.map(number => digests[number] ?? ZERO_BLOCK_DIGEST),
      );
    }),
  );
});

test('the digest of a disk counts blocks of zeros', t => {
  const runs = fc.array(fc.tuple(digest, fc.nat(3000)), { maxLength: 4 });
  fc.assert(
    fc.property(runs, parts => {
      const digests = parts.flatMap(([one, zeros]) => [one, ...Array<undefined>(zeros).fill(undefined)]);
      const map = mapOf(digests);
      const size = Buffer.alloc(8);
      size.writeBigUInt64LE(map.size);
      const all = Buffer.concat([size, ...digests.map(one => one ?? ZERO_BLOCK_DIGEST)]);
      t.true(diskDigest(map).equals(createHash('sha256').update(all).digest()));
    }),
    { numRuns: 20 },
  );
});

test('changed blocks are those that differ, a missing parent block being zeros', t => {
  fc.assert(
    fc.property(blocks, blocks, fc.array(fc.nat(39)), (child, parent, shared) => {
      const before = [...parent];
      for (const index of shared)
        if (index < child.length && index < before.length) before[index] = child[index];
      const expected = [...child.keys()].filter(index => {
        const [a, b] = [child[index] ?? ZERO_BLOCK_DIGEST, before[index] ?? ZERO_BLOCK_DIGEST];
        return !a.equals(b);
      });
      t.deepEqual(changedBlocks(mapOf(child), mapOf(before)), expected);
    }),
  );
});

test('every flipped byte and every truncation is found', t => {
  const encoded = encodeDiskMap(mapOf([Buffer.alloc(32, 7), undefined, Buffer.alloc(32, 9)]));
  for (let at = 0; at < encoded.length; at++) {
    const damaged = Buffer.from(encoded);
    damaged[at]! ^= 1;
    t.throws(() => decodeDiskMap(damaged), { code: 'STORE_DAMAGED' }, `byte ${String(at)}`);
    t.throws(() => decodeDiskMap(encoded.subarray(0, at)), { code: 'STORE_DAMAGED' }, `${String(at)} bytes`);
  }
});

/** A map whose content was changed by one who renewed the checksum. */
function forged(change: (content: Buffer) => Buffer): Buffer {
  const encoded = encodeDiskMap(mapOf([Buffer.alloc(32, 7), undefined, Buffer.alloc(32, 9)]));
  const content = change(Buffer.from(encoded.subarray(0, encoded.length - 32)));
  return Buffer.concat([content, createHash('sha256').update(content).digest()]);
}

const FORGED: { name: string; change: (content: Buffer) => Buffer; code: ImageUnpackerError['code'] }[] = [
  { name: 'another version', change: set(8, 2), code: 'UNSUPPORTED' },
  { name: 'another block size', change: set(12, 1), code: 'UNSUPPORTED' },
  { name: 'an impossible size', change: set(22, 0xff), code: 'STORE_DAMAGED' },
  { name: 'a size for more blocks', change: set(21, 1), code: 'STORE_DAMAGED' },
  {
    name: 'a digest too many',
    change: content => Buffer.concat([content, Buffer.alloc(32)]),
    code: 'STORE_DAMAGED',
  },
  { name: 'a bit too many', change: set(24, 0b111), code: 'STORE_DAMAGED' },
  { name: 'a bit behind the end', change: set(24, 0b1001), code: 'STORE_DAMAGED' },
  {
    name: 'a block of zeros that is present',
    change: content => {
      ZERO_BLOCK_DIGEST.copy(content, 25);
      return content;
    },
    code: 'STORE_DAMAGED',
  },
];

function set(at: number, value: number): (content: Buffer) => Buffer {
  return content => {
    content[at] = value;
    return content;
  };
}

test('a map that is whole but contradicts itself is refused', t => {
  for (const { name, change, code } of FORGED) {
    const error = t.throws(() => decodeDiskMap(forged(change)), { instanceOf: ImageUnpackerError }, name);
    t.is(error.code, code, name);
  }
  t.notThrows(() => decodeDiskMap(forged(content => content)));
});

test('sizes are rounded up to blocks', t => {
  t.deepEqual([0n, 1n, 524_288n, 524_289n].map(diskBlocks), [0, 1, 1, 2]);
});
