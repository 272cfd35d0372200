import type { FilePair, Matching } from '../image/inode-match.js';
import { keyOf, pathsOf, rewritablePairs } from '../image/inode-match.js';
import { PackedReader, packPaths } from '../image/packing.js';
import { comparePaths, parentPath } from '../image/path.js';
import type { Watch } from '../native.js';
import { compareContent, locatePaths } from '../native.js';
import { packContents } from './batch.js';
import type { BlockDevice } from './device.js';
import { withMount } from './mounted.js';
import type { DeviceRange } from './rewrite-cost.js';
import { areCheaperInPlace, isCheaperInPlace, isLarge, keepsItsBlocks } from './rewrite-cost.js';

/** More small files than these are never better rewritten where they lie. */
const MOST_SMALL_FILES = 256;

/** From what is chosen. */
export interface Choice {
  matching: Matching;
  /** Where on the volume the inode is now that is known by a path. */
  pathOn: (path: Buffer) => Buffer;
  /** The directory of the objects of all files that must be made. */
  objects: number;
}

/**
 * The files that are better rewritten in place than made anew, because that touches fewer blocks of a
 * snapshot: their paths, as `keyOf` has them.
 */
export async function chooseRewrites(
  device: BlockDevice,
  choice: Choice,
  watch: Watch,
): Promise<Set<string>> {
  const pairs = rewritablePairs(choice.matching);
  const large = pairs.filter(isLarge);
  const small = smallPairs(pairs);
  if (large.length === 0 && small.length === 0) return new Set();
  const chosen = await withMount(device, false, async root => [
    ...(await chooseLarge(root, large, choice, watch)),
    ...(await chooseSmall(root, small, choice, watch)),
  ]);
  return new Set(chosen.map(({ want }) => keyOf(want.path)));
}

function smallPairs(pairs: readonly FilePair[]): FilePair[] {
  const small = pairs.filter(pair => !isLarge(pair) && keepsItsBlocks(pair));
  return small.length > MOST_SMALL_FILES ? [] : small;
}

async function chooseLarge(
  root: number,
  pairs: readonly FilePair[],
  { pathOn, objects }: Choice,
  watch: Watch,
): Promise<FilePair[]> {
  if (pairs.length === 0) return [];
  const packed = packContents(pairs.map(({ want }) => ({ ...want, path: pathOn(want.path) })));
  const counts = await compareContent(root, packed, objects, watch);
  return pairs.filter(({ want }, at) => isCheaperInPlace(counts.readUInt32LE(at * 4), want));
}

/** All of the small files or none. */
async function chooseSmall(
  root: number,
  pairs: readonly FilePair[],
  { matching, pathOn }: Choice,
  watch: Watch,
): Promise<readonly FilePair[]> {
  if (pairs.length === 0) return [];
  const inPlace = new Set<unknown>(pairs.flatMap(({ have, want }) => [have, want]));
  const others = [...matching.unmatched, ...matching.free].filter(entry => !inPlace.has(entry));
  const changed = new Set(others.flatMap(pathsOf).map(path => keyOf(parentPath(path))));
  const directories = new Map(
    pairs.map(({ have }) => parentPath(have.path)).map(path => [keyOf(path), path] as const),
  );
  const unchanged = [...directories].filter(([key]) => !changed.has(key)).map(([, path]) => path);
  const data = await locate(
    root,
    pairs.map(({ have }) => pathOn(have.path)),
    watch,
  );
  const names = await locate(root, unchanged.map(pathOn), watch);
  const files = pairs.map(({ want }) => want);
  return areCheaperInPlace({ files, data, directories: names, others: others.length > 0 }) ? pairs : [];
}

async function locate(root: number, paths: readonly Buffer[], watch: Watch): Promise<DeviceRange[]> {
  const packed = packPaths([...paths].sort(comparePaths));
  const reader = new PackedReader(await locatePaths(root, packed, watch));
  const ranges: DeviceRange[] = [];
  while (!reader.done) {
    for (let count = reader.u32(); count > 0; count--)
      ranges.push({ start: reader.u64(), length: reader.u64() });
  }
  return ranges;
}
