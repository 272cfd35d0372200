import { createCipheriv } from 'node:crypto';
import fc from 'fast-check';
import { sha512 } from '../../../src/image/digest.js';
import type { Entry } from '../../../src/image/entry.js';
import { comparePaths } from '../../../src/image/path.js';
import type { ImageRecord, Store } from '../../../src/store/store.js';
import { storeImage } from '../../model/stored-image.js';
import { entriesOf, treePlan } from '../../model/tree.js';
import { Random } from './random.js';

/*
 * Three revisions of a tree that differ in every way that matters: large files that are rewritten in place, with
 * holes that come and go, at the same size and time; small files that are changed, added, removed and moved; a
 * directory of many blocks; and in all of them much that never changes. Beside these, random trees of all that is
 * hard to get right.
 */

export const LETTERS = ['A', 'B', 'C'] as const;
export type Letter = (typeof LETTERS)[number];

const BLOCK = 4096;
const STILL_BYTES = 256 << 10;
const LARGE_BLOCKS = 1024;
const MTIME = 1_700_000_000_000_000_001n;

/** How many files of each kind a revision has. */
const SIZES = {
  usual: { still: 40, large: 2, small: 220 },
  small: { still: 4, large: 2, small: 24 },
} as const;
export type Size = keyof typeof SIZES;

/** A revision as it was stored. */
export interface Revision {
  letter: Letter;
  record: ImageRecord;
  entries: Entry[];
}

/** Stores the revisions that a seed makes. */
export async function storeRevisions(
  store: Store,
  seed: number,
  size: Size,
): Promise<Record<Letter, Revision>> {
  const nasty = fc.sample(treePlan, { numRuns: LETTERS.length, seed });
  const revisions: [Letter, Revision][] = [];
  for (const [at, letter] of LETTERS.entries()) {
    const tree = new TreeOfRevision(seed, at, size);
    const entries = [...tree.entries(), ...below('nasty', entriesOf(nasty[at]!))];
    entries.sort((a, b) => comparePaths(a.path, b.path));
    for (const content of tree.contents) await store.put(content);
    revisions.push([
      letter,
      { letter, entries, record: await storeImage(store, `crash/tree/${letter}`, entries) },
    ]);
  }
  return Object.fromEntries(revisions) as Record<Letter, Revision>;
}

class TreeOfRevision {
  readonly contents: Buffer[] = [];
  readonly #seed: number;
  readonly #number: number;
  readonly #count: (typeof SIZES)[Size];

  constructor(seed: number, number: number, size: Size) {
    this.#seed = seed;
    this.#count = SIZES[size];
    this.#number = number;
  }

  entries(): Entry[] {
    const names = ['', 'large', 'many', 'other', 'still'];
    return [...names.map(directory), ...this.#still(), ...this.#large(), ...this.#small()];
  }

  #still(): Entry[] {
    return numbers(this.#count.still).map(at =>
      this.#file(`still/${String(at)}`, this.#bytes(`still ${String(at)}`, STILL_BYTES)),
    );
  }

  /** A few blocks of each differ from revision to revision; some of those are holes. */
  #large(): Entry[] {
    return numbers(this.#count.large).map(at => {
      const content = Buffer.from(this.#bytes(`large ${String(at)}`, LARGE_BLOCKS * BLOCK));
      const random = new Random(this.#seed * 31 + this.#number * 7 + at);
      const first = random.below(LARGE_BLOCKS - 40);
      for (const block of [first, first + 1, first + 9]) {
        this.#bytes(`large ${String([at, this.#number, block])}`, BLOCK).copy(content, block * BLOCK);
      }
      const hole = at === 0 ? { start: BigInt(first + 20), count: BigInt(3 + this.#number) } : undefined;
      return this.#file(`large/${String(at)}`, content, hole);
    });
  }

  #small(): Entry[] {
    return numbers(this.#count.small).flatMap(at => {
      const random = new Random(this.#seed * 17 + at);
      const [size, fate] = [1 + random.below(3 * BLOCK), random.next()];
      const name = `${String(at).padStart(4, '0')}-${'long'.repeat(random.below(30))}`;
      const content = this.#bytes(`small ${String(at)}`, size);
      const changed = this.#bytes(`small ${String([at, this.#number])}`, size);
      if (fate < 0.1) return [this.#file(`many/${name}`, changed)];
      if (fate < 0.15) return [this.#file(`${this.#number === 1 ? 'other' : 'many'}/${name}`, content)];
      if (fate < 0.25) return at % 3 === this.#number ? [] : [this.#file(`many/${name}`, content)];
      const mode = fate < 0.3 && this.#number === 2 ? 0o600 : 0o644;
      return [{ ...this.#file(`many/${name}`, content), mode } as Entry];
    });
  }

  #file(path: string, content: Buffer, hole?: { start: bigint; count: bigint }): Entry {
    const size = BigInt(content.length);
    const data =
      hole === undefined
        ? content
        : Buffer.concat([
            content.subarray(0, Number(hole.start) * BLOCK),
            content.subarray(Number(hole.start + hole.count) * BLOCK),
          ]);
    this.contents.push(data);
    const holes = hole === undefined ? [] : [hole];
    const metadata = { mode: 0o644, uid: 0, gid: 0, mtime: MTIME, flags: 0, xattrs: [], names: [] };
    return { type: 'file', path: Buffer.from(path), ...metadata, size, holes, digest: sha512(data) };
  }

  /** Bytes that compare with nothing else, and are the same whenever they are asked for. */
  #bytes(what: string, length: number): Buffer {
    const key = sha512(Buffer.from(`${String(this.#seed)} ${what}`));
    return createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16, 32)).update(
      Buffer.alloc(length),
    );
  }
}

function directory(path: string): Entry {
  return {
    type: 'directory',
    path: Buffer.from(path),
    mode: 0o755,
    uid: 0,
    gid: 0,
    mtime: MTIME,
    flags: 0,
    xattrs: [],
  };
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at);
}

/** A tree as a part of another one. */
function below(parent: string, entries: readonly Entry[]): Entry[] {
  const moved = (path: Buffer): Buffer =>
    Buffer.concat(path.length === 0 ? [Buffer.from(parent)] : [Buffer.from(`${parent}/`), path]);
  return entries.map(entry => {
    const path = moved(entry.path);
    if (entry.type === 'link') return { ...entry, path, target: moved(entry.target) };
    return 'names' in entry ? { ...entry, path, names: entry.names.map(moved) } : { ...entry, path };
  });
}
