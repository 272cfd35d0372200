import { TAG } from '../cloud/cloud.js';
import { throwIfAborted } from '../image/error.js';
import { hasExpired, parseExpiry } from './expiry.js';
import { makeOpenTarget, withTarget } from './open-target.js';
import type { TargetsOptions } from './options.js';
import type { TargetRow } from './row.js';
import { errorColumns, rowOf } from './row.js';

/** An image that has expired, or a target or time that something is wrong with. */
export interface ExpiredRow extends TargetRow {
  AmiId?: string;
  ImageName?: string;
  ExpiresAt?: string;
  /** Whether it is gone now. */
  Deleted: boolean;
}

/**
 * Deletes the images that have expired, with their disks. With `dryRun` it only says which. A time that can not
 * be read has an error in its row, and the image stays.
 */
export async function expire(options: TargetsOptions & { readonly dryRun?: boolean }): Promise<ExpiredRow[]> {
  const {
    targets,
    dryRun = false,
    signal,
    openTarget: open = makeOpenTarget(),
    now = () => new Date(),
  } = options;
  const rows = await Promise.all(
    targets.map(async (target): Promise<ExpiredRow[]> => {
      const found: ExpiredRow[] = [];
      try {
        const due = await withTarget(target, { write: false, now, signal, open }, async cloud => {
          const images = await cloud.images({}, { signal });
          return images.filter(({ tags }) => isDue(tags[TAG.expiresAt], now()));
        });
        if (due.length === 0) return found;
        await withTarget(target, { write: !dryRun, now, signal, open }, async cloud => {
          for (const { id, tags } of due) {
            const row: ExpiredRow = { ...rowOf(target), AmiId: id, ...columnsOf(tags), Deleted: false };
            found.push(row);
            if (row.Error !== undefined || dryRun) continue;
            await cloud.remove(id, { signal });
            row.Deleted = true;
          }
        });
        return found;
      } catch (reason) {
        const error = errorColumns(reason, `Expiring the images of ${target.name} failed`);
        return [...found, { ...rowOf(target), Deleted: false, ...error }];
      }
    }),
  );
  throwIfAborted(signal);
  return rows.flat();
}

function isDue(expiresAt: string | undefined, now: Date): boolean {
  return expiresAt !== undefined && (hasExpired(expiresAt, now) || Number.isNaN(parseExpiry(expiresAt)));
}

function columnsOf(tags: Readonly<Record<string, string>>): Partial<ExpiredRow> {
  const [name, expiresAt = ''] = [tags[TAG.imageName], tags[TAG.expiresAt]];
  const known = { ...(name === undefined ? {} : { ImageName: name }), ExpiresAt: expiresAt };
  if (!Number.isNaN(parseExpiry(expiresAt))) return known;
  return { ...known, Error: `"${expiresAt}" is no time; the image stays`, ErrorCode: 'CONFIGURATION' };
}
