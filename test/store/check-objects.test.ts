import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { PackedReader } from '../../src/image/packing.js';
import { checkObjects } from '../../src/native.js';
import { objectPath } from '../../src/store/local/layout.js';
import { temporaryDirectory } from '../temporary-directory.js';

/*
 * Objects are hashed several at once where the processor can: whatever lies beside it, each must be told right.
 */

interface Case {
  size: number;
  seed: number;
  /** Which block is zeros, if there is such a block. */
  zeros: number;
  fate: 'good' | 'missing' | 'damaged';
  /** Which bit of a damaged one is another. */
  bit: number;
}

const STATES = { good: 0, missing: 1, damaged: 2 };
const BLOCK_BYTES = 4096;
const PIECE_BYTES = 128 << 10;

/** Sizes of which the padding fits behind the data and of which it does not, and of one piece or more. */
const sizes = fc.oneof(
  fc.integer({ min: 1, max: 600 }),
  fc.integer({ min: 1, max: 3 * PIECE_BYTES }),
  fc.constantFrom(111, 112, 127, 128, BLOCK_BYTES, PIECE_BYTES - 17, PIECE_BYTES - 1, PIECE_BYTES),
  fc.constantFrom(2 * PIECE_BYTES, 1 << 20, (1 << 20) + 1),
);
const cases: fc.Arbitrary<Case> = fc.record({
  size: sizes,
  seed: fc.nat(),
  zeros: fc.oneof(fc.constant(-1), fc.nat(96)),
  fate: fc.constantFrom('good', 'good', 'good', 'good', 'missing', 'damaged'),
  bit: fc.nat(),
});

function contentOf({ size, seed, zeros }: Case): Buffer {
  const pattern = createHash('sha256').update(String(seed)).digest();
  const bytes = Buffer.alloc(size, pattern);
  if (zeros >= 0)
    bytes.fill(0, Math.min(size, zeros * BLOCK_BYTES), Math.min(size, (zeros + 1) * BLOCK_BYTES));
  return bytes;
}

/** Puts an object where its digest says, as its fate is. */
function put(root: string, digest: Buffer, each: Case): void {
  if (each.fate === 'missing') return;
  const bytes = contentOf(each);
  const bit = each.bit % (each.size * 8);
  if (each.fate === 'damaged') bytes[bit >> 3]! ^= 1 << (bit & 7);
  const path = join(root, objectPath(digest));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
}

for (const sparse of [false, true]) {
  test(`objects read together are told good, missing or damaged${sparse ? ', zeros and all' : ''}`, async t => {
    const parent = temporaryDirectory(t);
    let number = 0;
    const property = fc.asyncProperty(fc.array(cases, { maxLength: 40 }), async some => {
      const root = join(parent, String(number++));
      mkdirSync(root);
      const objects = new Map<string, Case>();
      for (const each of some) objects.set(createHash('sha512').update(contentOf(each)).digest('hex'), each);
      for (const [digest, each] of objects) put(root, Buffer.from(digest, 'hex'), each);
      const directory = openSync(root, 'r');
      try {
        const asked = Buffer.concat([...objects.keys()].map(digest => Buffer.from(digest, 'hex')));
        const reader = new PackedReader(await checkObjects(directory, asked, sparse, {}));
        for (const { fate, size } of objects.values()) {
          t.is(reader.u8(), STATES[fate]);
          t.is(Number(reader.u64()), fate === 'missing' ? 0 : size);
          const runs = reader.u32();
          for (let run = 0; run < runs; run++) reader.raw(16);
          if (runs > 0 && reader.u8() !== 0) reader.raw(64);
        }
        t.true(reader.done);
      } finally {
        closeSync(directory);
      }
    });
    await fc.assert(property, { numRuns: 50 });
  });
}
