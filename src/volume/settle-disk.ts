import { checkedSuperblock } from './current-tree.js';
import { hasArea, writeArea } from './disk/boot-area.js';
import { withNames } from './disk/disk-plan.js';
import type { OpenVolume } from './open-volume.js';
import type { WantedVolume } from './plan-volume.js';
import { renameFileSystem } from './rename-file-system.js';

/** How a disk is settled. */
export interface SettleOptions {
  /** Called before anything is written. */
  begin: () => Promise<void>;
  signal?: AbortSignal | undefined;
}

/**
 * Makes a disk, its partitions and its file system be called as they are to be, and makes right what lies beside
 * the root partition. Resolves to whether anything was not as it should be.
 */
export async function settleDisk(
  { disk }: OpenVolume,
  { names, area }: WantedVolume,
  { begin, signal }: SettleOptions,
): Promise<boolean> {
  if (disk === undefined || names === undefined) return false;
  const { uuid } = await checkedSuperblock(disk.root);
  const wanted = area(disk.table);
  const settled = await hasArea(disk.file, wanted);
  if (settled && uuid === names.uuid) return false;
  await begin();
  if (uuid !== names.uuid) await renameFileSystem(disk.root, names.uuid, signal);
  if (!settled) {
    disk.table = withNames(disk.table, names);
    await writeArea(disk.file, disk.size, wanted, disk.table);
  }
  return true;
}
