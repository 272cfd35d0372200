import { throwIfAborted } from '../image/error.js';
import type { UsageOptions } from './find-usage.js';
import type { UnusedImageRow, UnusedImages } from './list-unused-images.js';
import { listUnusedImages } from './list-unused-images.js';
import { makeOpenTarget, withTarget } from './open-target.js';
import { errorColumns } from './row.js';

/**
 * Finds the images that nothing uses as `listUnusedImages` does, and deletes them with their disks when `apply` is true;
 * else it only reports. One that cannot be deleted has an error in its row, and the others are. Throws `CANCELLED`.
 */
export async function deleteUnusedImages(
  options: UsageOptions & { readonly apply?: boolean },
): Promise<UnusedImages> {
  const { apply = false, signal, targets } = options;
  // What is deleted is deleted where it was found.
  const openTarget = options.openTarget ?? makeOpenTarget();
  const found = await listUnusedImages({ ...options, openTarget });
  if (!apply) return found;
  const now = options.now ?? (() => new Date());
  const rows = new Map<UnusedImageRow, UnusedImageRow>();
  await Promise.all(
    targets.map(async target => {
      const mine = found.UnusedImages.filter(row => row.Target === target.name);
      if (mine.length === 0) return;
      const fail = (row: UnusedImageRow, reason: unknown): void => {
        const error = errorColumns(reason, `Deleting ${row.AmiId} in ${target.name} failed`);
        rows.set(row, { ...row, Deleted: false, ...error });
      };
      try {
        await withTarget(target, { write: true, now, signal, open: openTarget }, async cloud => {
          for (const row of mine) {
            throwIfAborted(signal);
            try {
              await cloud.remove(row.AmiId, { signal });
              rows.set(row, { ...row, Deleted: true });
            } catch (reason) {
              fail(row, reason);
            }
          }
        });
      } catch (reason) {
        for (const row of mine) if (!rows.has(row)) fail(row, reason);
      }
    }),
  );
  throwIfAborted(signal);
  return { ...found, UnusedImages: found.UnusedImages.map(row => rows.get(row) ?? row) };
}
