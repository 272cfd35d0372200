import test from 'ava';
import fc from 'fast-check';
import { sha512 } from '../../src/image/digest.js';
import type { Entry } from '../../src/image/entry.js';
import type { EncodedPage } from '../../src/image/manifest.js';
import { allocatedBytesOf, dataBlocksOf, decodeIndex } from '../../src/image/manifest.js';
import { decodePage } from '../../src/image/page.js';
import { golden } from '../golden.js';
import { manifestWriter } from '../model/manifest-writer.js';
import { manyFiles } from '../model/many-files.js';
import { goldenTree } from './golden-tree.js';

function encode(entries: readonly Entry[]) {
  const writer = manifestWriter();
  const pages: EncodedPage[] = [];
  for (const entry of entries) {
    const page = writer.add(entry);
    if (page !== undefined) pages.push(page);
  }
  const { page, index } = writer.finish();
  return { pages: [...pages, page], index };
}

const invalid = { code: 'IMAGE_INVALID' };

test('the golden index is that of its tree, and says what the tree is', t => {
  const { pages, index } = encode(goldenTree);
  t.true(index.bytes.equals(golden('index')));
  t.true(index.digest.equals(sha512(golden('index'))));
  t.true(pages[0]!.bytes.equals(golden('page')));
  t.deepEqual(decodeIndex(golden('index')), {
    entries: goldenTree.length,
    bytes: 5n + (3n << 40n) + 12_289n,
    blocks: 1n + 2n,
    pages: [
      {
        digest: sha512(golden('page')),
        entries: goldenTree.length,
        length: golden('page').length,
        first: Buffer.alloc(0),
      },
    ],
  });
});

test('pages hold all entries in order, and each is what the index says', t => {
  const entries = manyFiles(10_000);
  const { pages, index } = encode(entries);
  t.deepEqual(decodeIndex(index.bytes), index.index);
  t.is(pages.length, index.index.pages.length);
  t.true(pages.length > 5);
  const read = pages.flatMap((page, number) => {
    const reference = index.index.pages[number]!;
    t.true(sha512(page.bytes).equals(page.digest));
    t.true(page.digest.equals(reference.digest));
    t.is(page.bytes.length, reference.length);
    const decoded = decodePage(page.bytes);
    t.is(decoded.length, reference.entries);
    t.true(decoded[0]!.path.equals(reference.first));
    return decoded;
  });
  t.deepEqual(read, entries);
});

test('pages that are added whole make the manifest that their entries make', t => {
  const before = manyFiles(10_000);
  const { pages, index } = encode(before);
  const whole = pages.map((page, number) => {
    const entries = decodePage(page.bytes);
    const fileBytes = entries.reduce((sum, entry) => sum + (entry.type === 'file' ? entry.size : 0n), 0n);
    const blocks = entries.reduce((sum, entry) => sum + dataBlocksOf(entry), 0n);
    return { ...page, reference: index.index.pages[number]!, fileBytes, blocks, entries };
  });
  t.true(whole.length > 5);
  const changed = manyFiles(1)[2]!;
  // Each of the pages is one whose entries are added one by one, with one more before them or without it.
  for (const [other] of whole.entries()) {
    for (const more of [
      [],
      [{ ...changed, path: Buffer.concat([whole[other]!.reference.first, Buffer.from('+')]) }],
    ]) {
      const writer = manifestWriter();
      const made: EncodedPage[] = [];
      const wanted: Entry[] = [];
      const add = (page: EncodedPage | undefined): void => {
        if (page !== undefined) made.push(page);
      };
      let wholes = 0;
      for (const [number, page] of whole.entries()) {
        const entries =
          number === other ? [page.entries[0]!, ...more, ...page.entries.slice(1)] : page.entries;
        wanted.push(...entries);
        // The page before the other one is followed by what it was followed by.
        if (number !== other && writer.beginsWith(page.reference.first)) {
          add(writer.addPage(page));
          wholes++;
        } else for (const entry of entries) add(writer.add(entry));
      }
      const end = writer.finish();
      t.true(wholes > whole.length - 5);
      t.deepEqual({ pages: [...made, end.page], index: end.index }, encode(wanted));
    }
  }
});

test('a change dirties the pages that it is in and few others', t => {
  const entries = manyFiles(10_000);
  const before = new Set(encode(entries).pages.map(page => page.digest.toString('hex')));
  const isNew = (page: EncodedPage): boolean => !before.has(page.digest.toString('hex'));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: entries.length - 1 }), fc.boolean(), (at, remove) => {
      const entry = entries[at]!;
      fc.pre(entry.type === 'file');
      const changed = remove ? entries.toSpliced(at, 1) : entries.with(at, { ...entry, mtime: 1n });
      const dirty = encode(changed).pages.filter(isNew).length;
      t.true(dirty >= 1 && dirty <= 2);
    }),
    { numRuns: 20 },
  );
});

test('an index that was changed or cut off is refused, or says something else', t => {
  const { index } = encode(manyFiles(2000));
  const original = index.bytes;
  fc.assert(
    fc.property(fc.nat({ max: original.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const changed = Buffer.from(original);
      changed[at]! ^= change;
      try {
        t.notDeepEqual(decodeIndex(changed), index.index);
      } catch (error) {
        t.is((error as { code?: string }).code, 'IMAGE_INVALID');
      }
      t.throws(() => decodeIndex(original.subarray(0, at)), invalid);
    }),
    { numRuns: 300 },
  );
  t.throws(() => decodeIndex(Buffer.concat([original, Buffer.alloc(1)])), {
    ...invalid,
    message: /mean nothing/,
  });
});

test('what takes blocks is counted', t => {
  const blocks = goldenTree.map(dataBlocksOf);
  t.deepEqual(blocks, [0n, 0n, 1n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n, 2n]);
  const long = { ...goldenTree[10]!, target: Buffer.alloc(60, 'x') } as Entry;
  t.is(allocatedBytesOf(long), 4096n);
});
