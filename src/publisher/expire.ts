import type { CloudTarget, PublishedImage, UnfinishedDisk } from '../cloud/cloud.js';
import { TAG } from '../cloud/cloud.js';
import { throwIfAborted } from '../image/error.js';
import { PREFERRED } from './exclusive-tag.js';
import { hasExpired, parseExpiry } from './expiry.js';
import { makeOpenTarget, withTarget } from './open-target.js';
import type { TargetsOptions } from './options.js';
import type { TargetRow } from './row.js';
import { errorColumns, rowOf } from './row.js';
import type { Target } from './target.js';

/** An image that has expired, or a target or time that something is wrong with. */
export interface ExpiredRow extends TargetRow {
  AmiId?: string;
  /** Of a disk that is of no image. */
  SnapshotId?: string;
  ImageName?: string;
  ExpiresAt?: string;
  /** Whether it is gone now. */
  Deleted: boolean;
}

/** What of a target has expired. */
interface Due {
  readonly images: readonly PublishedImage[];
  readonly disks: readonly UnfinishedDisk[];
}

/**
 * Deletes the images that have expired, with their disks, and disks of no image that have. With `dryRun` it only says
 * which. A time that can not be read has an error in its row, and the image stays; so has one that is preferred, and what cannot be
 * deleted, and the others are.
 */
export async function expire(options: TargetsOptions & { readonly dryRun?: boolean }): Promise<ExpiredRow[]> {
  const rows = await Promise.all(
    options.targets.map(async (target): Promise<ExpiredRow[]> => {
      try {
        return await expireTarget(target, options);
      } catch (reason) {
        const error = errorColumns(reason, `Expiring the images of ${target.name} failed`);
        return [{ ...rowOf(target), Deleted: false, ...error }];
      }
    }),
  );
  throwIfAborted(options.signal);
  return rows.flat();
}

async function expireTarget(
  target: Target,
  {
    dryRun = false,
    signal,
    openTarget: open = makeOpenTarget(),
    now = () => new Date(),
  }: TargetsOptions & { readonly dryRun?: boolean },
): Promise<ExpiredRow[]> {
  const find = async (cloud: CloudTarget): Promise<Due> => ({
    images: (await cloud.images({}, { signal })).filter(({ tags }) => isDue(tags[TAG.expiresAt], now())),
    disks: (await cloud.unfinished({ signal })).filter(({ tags }) => hasExpired(tags[TAG.expiresAt], now())),
  });
  const found = await withTarget(target, { write: false, now, signal, open }, find);
  if (found.images.length + found.disks.length === 0) return [];
  const rows: ExpiredRow[] = [];
  await withTarget(target, { write: !dryRun, now, signal, open }, async cloud => {
    // What was to expire may have been made to stay while the target was waited for.
    const due = dryRun ? found : await find(cloud);
    const expireOne = async (about: Partial<ExpiredRow>, remove: () => Promise<void>): Promise<void> => {
      const row: ExpiredRow = { ...rowOf(target), ...about, Deleted: false };
      rows.push(row);
      if (row.Error !== undefined || dryRun) return;
      throwIfAborted(signal);
      try {
        await remove();
        row.Deleted = true;
      } catch (reason) {
        Object.assign(row, errorColumns(reason, `Deleting ${about.AmiId ?? about.SnapshotId ?? ''} failed`));
      }
    };
    for (const { id, tags } of due.images) {
      await expireOne({ AmiId: id, ...columnsOf(tags) }, () => cloud.remove(id, { signal }));
    }
    for (const { id, tags } of due.disks) {
      await expireOne({ SnapshotId: id, ...columnsOf(tags) }, () => cloud.removeDisk(id, { signal }));
    }
  });
  return rows;
}

function isDue(expiresAt: string | undefined, now: Date): boolean {
  return expiresAt !== undefined && (hasExpired(expiresAt, now) || Number.isNaN(parseExpiry(expiresAt)));
}

function columnsOf(tags: Readonly<Record<string, string>>): Partial<ExpiredRow> {
  const [name, expiresAt = ''] = [tags[TAG.imageName], tags[TAG.expiresAt]];
  const known = { ...(name === undefined ? {} : { ImageName: name }), ExpiresAt: expiresAt };
  if (tags[TAG.preferred] === PREFERRED) {
    const what = `It is what is preferred of ${tags[TAG.stream] ?? 'its stream'}, and stays`;
    const message = `${what}; promote another one, or let it stay with 'delete-tags ExpiresAt'`;
    return { ...known, Error: message, ErrorCode: 'IMAGE_IN_USE' };
  }
  if (!Number.isNaN(parseExpiry(expiresAt))) return known;
  return { ...known, Error: `"${expiresAt}" is no time; the image stays`, ErrorCode: 'CONFIGURATION' };
}
