import type { CloudTarget, PublishedImage } from '../cloud/cloud.js';
import { ImageUnpackerError, throwIfAborted } from '../image/error.js';
import { makeOpenTarget, withTarget } from './open-target.js';
import type { TargetsOptions } from './options.js';
import type { ReadRow, TargetRow } from './row.js';
import { errorColumns, rowOf } from './row.js';
import type { Target } from './target.js';
import { directoryOf, localTarget } from './target.js';

/** What commands that are given results take: targets only where the rows do not say enough themselves. */
export interface ResultsOptions extends Omit<TargetsOptions, 'targets'> {
  readonly targets?: readonly Target[] | undefined;
  readonly results: readonly ReadRow[];
}

/** What is said of an image that a row named. */
export interface ImageRow extends TargetRow {
  AmiId: string;
  ImageName?: string;
}

/** Does something with the image that a row names, which is there or not. */
type ImageWork<R> = (
  cloud: CloudTarget,
  row: ReadRow,
  image: PublishedImage | undefined,
  about: ImageRow,
) => Promise<R>;

/**
 * Does `work` with each image that the rows name, target by target, targets at once; resolves to a row for each,
 * in the order of the rows. What fails has `Error` in its row.
 */
export async function forNamedImages<R extends ImageRow>(
  {
    results,
    targets = [],
    signal,
    openTarget: open = makeOpenTarget(),
    now = () => new Date(),
  }: ResultsOptions,
  write: boolean,
  work: ImageWork<R>,
): Promise<(R | ImageRow)[]> {
  const rows: (R | ImageRow)[] = [];
  const named = results.map((row, at) => ({ row, at }));
  await Promise.all(
    [...new Set(results.map(({ Target: name }) => name))].map(async name => {
      const mine = named.filter(({ row }) => row.Target === name);
      const fail = (reason: unknown, about: readonly { row: ReadRow; at: number }[]): void => {
        for (const { row, at } of about) rows[at] = { ...columnsOf(row), ...errorColumns(reason, name) };
      };
      try {
        await withTarget(targetOf(name, targets), { write, now, signal, open }, async cloud => {
          const images = await cloud.images({}, { signal });
          for (const each of mine) {
            throwIfAborted(signal);
            const image = images.find(({ id }) => id === each.row.AmiId);
            try {
              rows[each.at] = await work(cloud, each.row, image, columnsOf(each.row));
            } catch (reason) {
              fail(reason, [each]);
            }
          }
        });
      } catch (reason) {
        fail(
          reason,
          mine.filter(({ at }) => rows[at] === undefined),
        );
      }
    }),
  );
  throwIfAborted(signal);
  return rows;
}

function columnsOf(row: ReadRow): ImageRow {
  const directory = directoryOf(row.Target);
  const [account = '', region = ''] = row.Target.split('/');
  const where =
    directory === undefined ? { AccountName: account, Region: region } : rowOf(localTarget(directory));
  const name = row.ImageName === undefined ? {} : { ImageName: row.ImageName };
  return { ...where, Target: row.Target, AmiId: row.AmiId ?? '', ...name };
}

function targetOf(name: string, targets: readonly Target[]): Target {
  const known = targets.find(target => target.name === name);
  if (known !== undefined) return known;
  const directory = directoryOf(name);
  if (directory !== undefined) return localTarget(directory);
  const message = `The target ${name} of the results is none of the targets; say with --targets in which file it is`;
  throw new ImageUnpackerError('USAGE', message, { target: name });
}
