import { readRuns, type Run } from './block-reader.js';
import { BLOCK_SIZE } from '../../image/entry.js';
import { damaged, reporting } from './damage.js';
import { isFastSymlink, type Inode } from './inode.js';
import type { InodeStore } from './inode-store.js';
import type { Ext4Volume } from './volume.js';

/** Reads the targets of all symlinks, by inode. Those that cannot be are reported and left out. */
export async function readSymlinks(volume: Ext4Volume, store: InodeStore): Promise<Map<number, Buffer>> {
  const targets = new Map<number, Buffer>();
  const runs: Run<Inode>[] = [];
  const take = (inode: Inode, bytes: Buffer): void => {
    const target = Buffer.from(bytes.subarray(0, inode.size));
    if (inode.size === 0 || target.includes(0)) throw damaged('the target of the symlink is none');
    targets.set(inode.number, target);
  };
  for (const inode of store.ofType('symlink')) {
    reporting(volume.report, inode.number, () => {
      if (isFastSymlink(inode)) take(inode, inode.block);
      else runs.push(targetRun(store, inode));
    });
  }
  runs.sort((a, b) => a.block - b.block);
  for await (const pieces of readRuns(volume.reader, runs, volume.signal)) {
    for (const { run, data } of pieces) {
      reporting(volume.report, run.of.number, () => {
        take(run.of, data);
      });
    }
  }
  return targets;
}

function targetRun(store: InodeStore, inode: Inode): Run<Inode> {
  const extent = store.mapOf(inode).extents[0];
  if (inode.size >= BLOCK_SIZE || extent?.logical !== 0 || extent.unwritten) {
    throw damaged('the target of the symlink is not in one block');
  }
  return { block: extent.physical, count: 1, of: inode };
}
