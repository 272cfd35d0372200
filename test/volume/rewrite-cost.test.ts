import test from 'ava';
import type { FileEntry, Hole } from '../../src/image/entry.js';
import {
  areCheaperInPlace,
  blocksTouched,
  isCheaperInPlace,
  isLarge,
  keepsItsBlocks,
} from '../../src/volume/rewrite-cost.js';

const BLOCK = 524_288n;

function file(size: bigint, holes: Hole[] = []): FileEntry {
  const metadata = { mode: 0o644, uid: 0, gid: 0, mtime: 0n, flags: 0, xattrs: [], names: [] };
  return { type: 'file', path: Buffer.from('a'), ...metadata, size, holes, digest: Buffer.alloc(64) };
}

function pair(have: FileEntry, want: FileEntry): { have: FileEntry; want: FileEntry } {
  return { have, want };
}

test('blocks are counted once, however many ranges touch them', t => {
  t.deepEqual([...blocksTouched([])], []);
  const ranges = [
    { start: 0n, length: 1n },
    { start: 4096n, length: BLOCK },
    { start: 3n * BLOCK, length: BLOCK },
  ];
  t.deepEqual([...blocksTouched(ranges)], [0n, 1n, 3n]);
});

test('a file is large when a block of a snapshot, or holes, are at stake', t => {
  t.true(isLarge(pair(file(BLOCK), file(BLOCK))));
  t.false(isLarge(pair(file(BLOCK - 1n), file(BLOCK))));
  t.true(isLarge(pair(file(8192n), file(8192n, [{ start: 0n, count: 1n }]))));
  t.false(isLarge(pair(file(4096n), file(8192n, [{ start: 0n, count: 1n }]))));
});

test('a large file is rewritten where it lies when less of it changes than would be written anew', t => {
  t.true(isCheaperInPlace(0, file(BLOCK)));
  t.true(isCheaperInPlace(2, file(10n * BLOCK)));
  t.false(isCheaperInPlace(8, file(10n * BLOCK)));
});

test('a small file keeps its blocks when it needs no more and no less of them', t => {
  t.true(keepsItsBlocks(pair(file(10n), file(4096n))));
  t.false(keepsItsBlocks(pair(file(10n), file(4097n))));
  t.false(keepsItsBlocks(pair(file(0n), file(0n))));
  t.false(keepsItsBlocks(pair(file(4096n), file(4096n, [{ start: 0n, count: 1n }]))));
});

test('few small files that lie together stay where they are, many that lie apart do not', t => {
  const files = Array.from({ length: 6 }, () => file(4096n));
  t.true(areCheaperInPlace({ files, data: 2, directories: 1, others: false }));
  t.false(areCheaperInPlace({ files, data: 6, directories: 1, others: false }));
  t.false(areCheaperInPlace({ files, data: 2, directories: 0, others: true }));
  t.true(areCheaperInPlace({ files, data: 1, directories: 1, others: true }));
});
