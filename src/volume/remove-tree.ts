import { BLOCKING_FLAGS } from '../image/entry.js';
import { LOST_AND_FOUND } from '../image/ext4-limits.js';
import type { Operation } from '../image/operation.js';
import { isBelow } from '../image/path.js';
import { runBatch, scanTree } from '../native.js';
import { decodeScan } from '../source/scan.js';
import { packBatch } from './batch.js';

/** There is nothing to be written. */
const NO_OBJECTS = -1;

/**
 * Removes all that is in the open directory `root`, whatever flags keep it there and however long its paths are, but
 * for the `lost+found` of a file system.
 */
export async function removeTree(root: number): Promise<void> {
  const unlocking: Operation[] = [];
  const removing: Operation[] = [];
  for (const { path, type, flags } of decodeScan(await scanTree(root, false, {}))) {
    if (path.equals(LOST_AND_FOUND) || isBelow(path, LOST_AND_FOUND)) continue;
    const isLocked = (flags & BLOCKING_FLAGS) !== 0;
    if (isLocked) unlocking.push({ do: 'change', path, type, removeXattrs: [], setXattrs: [], flags: 0 });
    if (path.length > 0) removing.push({ do: type === 'directory' ? 'remove-directory' : 'unlink', path });
  }
  await runBatch(root, packBatch([...unlocking, ...removing.reverse()], []), NO_OBJECTS, {});
}
