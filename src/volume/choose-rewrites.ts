import { changedNames } from '../image/changed-names.js';
import type { MovedDifference } from '../image/directory-moves.js';
import { pathBefore } from '../image/directory-moves.js';
import type { FilePair, Matching, Rewrites } from '../image/inode-match.js';
import { keyOf, parentKeyOf, rewritablePairs } from '../image/inode-match.js';
import { PackedReader, packPaths } from '../image/packing.js';
import { parentPath } from '../image/path.js';
import type { Watch } from '../native.js';
import { compareContent, locatePaths } from '../native.js';
import { packContents } from './batch.js';
import type { BlockDevice } from './device.js';
import { withMount } from './mounted.js';
import {
  areCheaperInPlace,
  blocksTouched,
  isCheaperInPlace,
  isLarge,
  keepsItsBlocks,
} from './rewrite-cost.js';

/** More small files than these are never better rewritten where they lie. */
const MOST_SMALL_FILES = 256;
/**
 * Unless it is told otherwise (pack-files.ts), ext4 puts the data of files up to this size together, wherever their inodes
 * are; that of others goes near their inodes, where a change leaves gaps.
 */
const MOST_PACKED_BYTES = 65_536n;

/** From what is chosen. */
export interface Choice {
  moved: MovedDifference;
  matching: Matching;
  /** The directory of the objects of all files that must be made. */
  objects: number;
}

/**
 * The files that keep their inodes, rather than being made anew and put in the place of the old ones, because that
 * touches fewer blocks of a snapshot.
 */
export async function chooseRewrites(device: BlockDevice, choice: Choice, watch: Watch): Promise<Rewrites> {
  const pairs = rewritablePairs(choice.matching);
  if (pairs.length === 0) return new Map();
  return withMount(device, false, root => new Chooser(root, choice, watch).choose(pairs));
}

class Chooser {
  readonly #root: number;
  readonly #choice: Choice;
  readonly #watch: Watch;

  constructor(root: number, choice: Choice, watch: Watch) {
    this.#root = root;
    this.#choice = choice;
    this.#watch = watch;
  }

  async choose(pairs: readonly FilePair[]): Promise<Rewrites> {
    const chosen = new Map<string, 'rewritten' | 'replaced'>();
    const choose = (some: readonly FilePair[], how: 'rewritten' | 'replaced'): void => {
      for (const { want } of some) chosen.set(keyOf(want.path), how);
    };
    const isLeft = ({ want }: FilePair): boolean => !chosen.has(keyOf(want.path));
    choose(await this.#largeInPlace(pairs.filter(isLarge)), 'rewritten');
    const left = pairs.filter(isLeft);
    const names = await this.#names(pairs, left);
    choose(await this.#smallInPlace(left, names), 'rewritten');
    choose(smallDirectories(left.filter(pair => isLeft(pair) && names.more(pair).length > 0)), 'replaced');
    return chosen;
  }

  async #largeInPlace(pairs: readonly FilePair[]): Promise<FilePair[]> {
    if (pairs.length === 0) return [];
    const packed = packContents(pairs.map(({ want }) => ({ ...want, path: this.#pathNow(want.path) })));
    const counts = await compareContent(this.#root, packed, this.#choice.objects, this.#watch);
    return pairs.filter(({ want }, at) => isCheaperInPlace(counts.readUInt32LE(at * 4), want));
  }

  /** All of the small files or none. */
  async #smallInPlace(pairs: readonly FilePair[], names: Names): Promise<readonly FilePair[]> {
    const small = pairs.filter(pair => !isLarge(pair) && keepsItsBlocks(pair));
    if (small.length === 0 || small.length > MOST_SMALL_FILES) return [];
    const data = blocksTouched((await this.#locate(small.map(({ have }) => have.path))).flat());
    const directories = new Set(small.flatMap(pair => names.more(pair)));
    const files = small.map(({ want }) => want);
    const cheaper = areCheaperInPlace({
      files,
      data: data.size,
      directories: directories.size,
      others: names.others,
    });
    return cheaper ? small : [];
  }

  /** What is known of directories if `pairs` keep their inodes; those of `left` need not. */
  async #names(pairs: readonly FilePair[], left: readonly FilePair[]): Promise<Names> {
    const { moved, matching } = this.#choice;
    const kept = new Set(pairs.flatMap(({ have, want }) => [have, want]));
    const changed = changedNames(moved, matching, kept);
    const isThere = (path: Buffer): boolean => moved.directories.get(keyOf(path))?.have !== undefined;
    const before = await this.#locate([...changed.values()].filter(isThere));
    const parents = new Map(
      left.map(({ want }) => parentPath(want.path)).map(path => [keyOf(path), path] as const),
    );
    const places = await this.#locate([...parents.values()]);
    const blocks = new Map([...parents.keys()].map((key, at) => [key, blocksTouched(places[at]!)] as const));
    return new Names(blocksTouched(before.flat()), blocks, changed.size > 0);
  }

  /** Where each of some inodes lies. */
  async #locate(paths: readonly Buffer[]): Promise<{ start: bigint; length: bigint }[][]> {
    const packed = packPaths(paths.map(path => this.#pathNow(path)));
    const reader = new PackedReader(await locatePaths(this.#root, packed, this.#watch));
    return paths.map(() =>
      Array.from({ length: reader.u32() }, () => ({ start: reader.u64(), length: reader.u64() })),
    );
  }

  /** Where an inode is before directories are moved. */
  #pathNow(path: Buffer): Buffer {
    return pathBefore(this.#choice.moved.moves, path);
  }
}

/** Those of some files that are in directories in which none of them is too large to be packed together with others. */
function smallDirectories(pairs: readonly FilePair[]): FilePair[] {
  const parentOf = ({ want }: FilePair): string => parentKeyOf(want.path);
  const large = new Set(pairs.filter(({ want }) => want.size > MOST_PACKED_BYTES).map(parentOf));
  return pairs.filter(pair => !large.has(parentOf(pair)));
}

/** What changing names in directories costs. */
class Names {
  /** Whether names change all the same. */
  readonly others: boolean;
  readonly #touched: ReadonlySet<bigint>;
  readonly #blocks: ReadonlyMap<string, ReadonlySet<bigint>>;

  /** Blocks that are touched in any case, and those of directories in which files may change. */
  constructor(
    touched: ReadonlySet<bigint>,
    blocks: ReadonlyMap<string, ReadonlySet<bigint>>,
    others: boolean,
  ) {
    this.#touched = touched;
    this.#blocks = blocks;
    this.others = others;
  }

  /** The blocks that making a file anew would touch besides, for the sake of its name. */
  more({ want }: FilePair): bigint[] {
    return [...this.#blocks.get(parentKeyOf(want.path))!].filter(block => !this.#touched.has(block));
  }
}
