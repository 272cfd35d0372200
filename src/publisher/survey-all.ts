import { ImageUnpackerError, throwIfAborted } from '../image/error.js';
import type { ImageRecord } from '../store/store.js';
import { makeOpenTarget, withTarget } from './open-target.js';
import type { TargetsOptions } from './options.js';
import type { ResultRow } from './row.js';
import { errorColumns, imageColumns, rowOf } from './row.js';
import type { Survey } from './survey.js';
import { surveyTarget } from './survey.js';
import type { Target } from './target.js';

/** What was found in a target: what is to be done there, or why nothing can be. */
export interface SurveyedTarget {
  readonly target: Target;
  readonly row: ResultRow;
  /** Undefined when the row has an error. */
  readonly survey: Survey | undefined;
}

/** Looks at all targets at once. One that cannot be looked at has the error in its row. */
export async function surveyAll(
  image: ImageRecord,
  { targets, signal, openTarget: open = makeOpenTarget() }: TargetsOptions,
  now: () => Date,
): Promise<SurveyedTarget[]> {
  const surveyed = await Promise.all(
    targets.map(async (target): Promise<SurveyedTarget> => {
      const row = emptyRow(target, image);
      try {
        const survey = await withTarget(target, { write: false, now, signal, open }, cloud =>
          surveyTarget(cloud, image, now(), signal),
        );
        return { target, survey, row: survey.kind === 'published' ? publishedRow(row, survey.image) : row };
      } catch (reason) {
        return { target, survey: undefined, row: failedRow(row, reason) };
      }
    }),
  );
  throwIfAborted(signal);
  return surveyed;
}

/** The row of a target where nothing has been done yet. */
export function emptyRow(target: Target, image: Pick<ImageRecord, 'name' | 'digest'>): ResultRow {
  return {
    ...rowOf(target),
    Strategy: target.strategy,
    ImageName: image.name,
    ImageDigest: image.digest,
    BlocksSent: 0,
    Stages: {},
    AlreadyPublished: false,
  };
}

/** The row of a target that has had the image before. */
export function publishedRow(row: ResultRow, image: Parameters<typeof imageColumns>[0]): ResultRow {
  return { ...row, ...imageColumns(image), AlreadyPublished: true };
}

/** The row of a target that failed. */
export function failedRow(row: ResultRow, reason: unknown): ResultRow {
  const error = ImageUnpackerError.from(reason, `Publishing to ${row.Target} failed`);
  return { ...row, ...errorColumns(error, '') };
}
