import test from 'ava';
import fc from 'fast-check';
import { sha512 } from '../../src/image/digest.js';
import type { FileFacts, SourceRoot } from '../../src/source/known-files.js';
import { KnownFiles, packKnownFiles } from '../../src/source/known-files.js';

const SECOND = 1_000_000_000n;
const ROOT: SourceRoot = { device: 2049n, inode: 2n, born: 1_700_000_000n * SECOND };

const u64 = fc.bigInt(0n, 2n ** 64n - 1n);
const time = fc.bigInt(-(2n ** 31n) * SECOND, 2n ** 34n * SECOND);
const facts: fc.Arbitrary<FileFacts> = fc.record({
  inode: u64,
  size: u64,
  mtime: time,
  ctime: time,
  holes: fc.array(fc.record({ start: u64, count: u64 }), { maxLength: 3 }),
});
const files = fc.uniqueArray(facts, { selector: file => file.inode });

function withDigest(file: FileFacts) {
  return { ...file, digest: sha512(Buffer.from(String(file.inode))) };
}

/** Long after all of them have last been changed. */
const LATER = 2n ** 40n * SECOND;

function known(list: readonly FileFacts[], seen = LATER): KnownFiles {
  return KnownFiles.decode(packKnownFiles(ROOT, list.map(withDigest), seen), ROOT)!;
}

test('a file is known as long as nothing that is seen of it changes', t => {
  const changes: ((file: FileFacts) => FileFacts)[] = [
    file => ({ ...file, inode: file.inode ^ 1n }),
    file => ({ ...file, size: file.size ^ 1n }),
    file => ({ ...file, mtime: file.mtime + 1n }),
    file => ({ ...file, ctime: file.ctime + 1n }),
    file => ({ ...file, ctime: file.ctime + SECOND }),
    file => ({ ...file, holes: [...file.holes, { start: 7n, count: 1n }] }),
  ];
  fc.assert(
    fc.property(files, fc.constantFrom(...changes), (list, change) => {
      const knowledge = known(list);
      for (const file of list) {
        t.deepEqual(knowledge.digestOf(file), withDigest(file).digest);
        const digest = knowledge.digestOf(change(file));
        t.true(digest === undefined || !digest.equals(withDigest(file).digest));
      }
    }),
  );
});

test('one that was changed just before it was seen is not known', t => {
  const fine = { inode: 1n, size: 1n, mtime: 0n, ctime: 5n * SECOND + 1n, holes: [] };
  const coarse = { ...fine, inode: 2n, ctime: 5n * SECOND };
  const knownAt = (seen: bigint): boolean[] =>
    [fine, coarse].map(file => known([fine, coarse], seen).digestOf(file) !== undefined);
  t.deepEqual(knownAt(0n), [false, false]);
  t.deepEqual(knownAt(fine.ctime), [false, false]);
  t.deepEqual(knownAt(fine.ctime + SECOND / 10n), [false, false]);
  t.deepEqual(knownAt(fine.ctime + SECOND / 10n + 1n), [true, false]);
  t.deepEqual(knownAt(coarse.ctime + 3n * SECOND), [true, false]);
  t.deepEqual(knownAt(coarse.ctime + 3n * SECOND + 1n), [true, true]);
});

test('what is damaged, or was written of another directory, is not used', t => {
  fc.assert(
    fc.property(files, fc.nat(), fc.integer({ min: 1, max: 255 }), (list, place, bits) => {
      const bytes = packKnownFiles(ROOT, list.map(withDigest), LATER);
      t.truthy(KnownFiles.decode(bytes, ROOT));
      for (const other of ['device', 'inode', 'born'] as const) {
        t.is(KnownFiles.decode(bytes, { ...ROOT, [other]: ROOT[other] + 1n }), undefined);
      }
      t.is(KnownFiles.decode(bytes.subarray(0, place % bytes.length), ROOT), undefined);
      bytes[place % bytes.length]! ^= bits;
      t.is(KnownFiles.decode(bytes, ROOT), undefined);
    }),
  );
});
