import type { FileEntry } from '../image/entry.js';
import { keyOf } from '../image/inode-match.js';
import type { Watch } from '../native.js';
import { compareContent } from '../native.js';
import { packContents } from './batch.js';
import type { BlockDevice } from './device.js';
import { withMount } from './mounted.js';
import { SNAPSHOT_BLOCK_BYTES } from './written-blocks.js';

/** Smaller files cost less made anew, packed together with others, than a block of a snapshot each. */
const WORTH_COMPARING_BYTES = BigInt(SNAPSHOT_BLOCK_BYTES);
/** Blocks of a file lie across those of a snapshot: rewriting touches some more than it changes. */
const MOST_REWRITTEN = 0.8;

/**
 * The files that are better rewritten in place than made anew, because that touches fewer blocks of a
 * snapshot: their paths, as `keyOf` has them. `pairs` are files as they are and as they are wanted, whose objects
 * are at hand in `objects`; `pathOn` tells where one is on the volume now.
 */
export async function chooseRewrites(
  device: BlockDevice,
  pairs: readonly { have: FileEntry; want: FileEntry }[],
  pathOn: (path: Buffer) => Buffer,
  objects: number,
  watch: Watch,
): Promise<Set<string>> {
  const candidates = pairs.filter(({ have, want }) => isWorthComparing(have, want)).map(({ want }) => want);
  if (candidates.length === 0) return new Set();
  const packed = packContents(candidates.map(file => ({ ...file, path: pathOn(file.path) })));
  const counts = await withMount(device, false, root => compareContent(root, packed, objects, watch));
  const chosen = candidates.filter((file, at) => isCheaper(counts.readUInt32LE(at * 4), file.size));
  return new Set(chosen.map(({ path }) => keyOf(path)));
}

/** Files of one size whose holes differ are often the same otherwise. */
function isWorthComparing(have: FileEntry, want: FileEntry): boolean {
  if (have.size >= WORTH_COMPARING_BYTES && want.size >= WORTH_COMPARING_BYTES) return true;
  return have.size === want.size && (have.holes.length > 0 || want.holes.length > 0);
}

function isCheaper(changedClusters: number, size: bigint): boolean {
  if (changedClusters === 0) return true;
  return changedClusters + 1 < (Number(size) / SNAPSHOT_BLOCK_BYTES) * MOST_REWRITTEN;
}
