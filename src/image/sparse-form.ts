import type { FileEntry, Hole } from './entry.js';
import { BLOCK_SIZE_BIG, blocksOf, segmentsOf } from './entry.js';

/*
 * Holes are content: a file with written zeros is another one than the same with holes. But of the two only one
 * needs to be stored, read or written to make the other. For that an object is known by what is left of it
 * without its blocks of zeros.
 */

/** What an object is without its blocks of zeros. */
export interface SparseForm {
  /** SHA-512 of the other blocks in order, or null when there are none. */
  digest: Buffer | null;
  /** The blocks of zeros: sorted, apart from each other, in blocks of the object. */
  zeros: readonly Hole[];
}

/** Sparse forms of objects, by their digests (`formKey`); those without a block of zeros are not there. */
export type SparseForms = ReadonlyMap<string, SparseForm>;

/** A digest as a key of `SparseForms`. */
export function formKey(digest: Buffer): string {
  return digest.toString('latin1');
}

/**
 * What a file has, as a key, if all of its blocks of zeros that are known were holes: files with the same key differ
 * in nothing but which of their zeros are holes.
 */
export function sparseKey(file: FileEntry, forms: SparseForms): string {
  const form = file.digest === null ? undefined : forms.get(formKey(file.digest));
  const holes = form === undefined ? file.holes : withZeros(file, form.zeros);
  const digest = form === undefined ? file.digest : form.digest;
  const runs = holes.map(({ start, count }) => `${String(start)}+${String(count)}`).join();
  return `${String(file.size)} ${runs} ${digest?.toString('latin1') ?? ''}`;
}

/** The holes of a file, and its blocks of zeros: a block of the object is one of the file that is no hole. */
function withZeros(file: FileEntry, zeros: readonly Hole[]): Hole[] {
  const holes: Hole[] = [...file.holes];
  let before = 0n;
  let next = 0;
  for (const { offset, length } of segmentsOf(file.size, file.holes)) {
    const first = offset / BLOCK_SIZE_BIG;
    const end = before + blocksOf(length);
    for (let run = zeros[next]; run !== undefined && run.start < end; run = zeros[next]) {
      const from = run.start > before ? run.start : before;
      const to = run.start + run.count < end ? run.start + run.count : end;
      holes.push({ start: first + from - before, count: to - from });
      if (run.start + run.count > end) break;
      next++;
    }
    before = end;
  }
  return joined(holes.sort((a, b) => (a.start < b.start ? -1 : 1)));
}

function joined(holes: readonly Hole[]): Hole[] {
  const result: Hole[] = [];
  for (const { start, count } of holes) {
    const last = result.at(-1);
    if (last?.start !== undefined && last.start + last.count === start) last.count += count;
    else result.push({ start, count });
  }
  return result;
}
