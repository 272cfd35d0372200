import { ImageUnpackerError } from '../image/error.js';
import type { ImageRecord, Store } from '../store/store.js';
import { Reporter } from './event.js';
import { Journal } from './journal.js';
import type { JournalRecord, RunRecord } from './journal.js';
import { makeOpenTarget } from './open-target.js';
import type { RunOptions, UnpackOptions } from './options.js';
import { STATE_DIRECTORY } from './options.js';
import { withUnpacker } from './produce-disk.js';
import type { ResultRow } from './row.js';
import { anyOpen, needsUnpacker, ofRun, outcomeOf, runTargets, withTargetRuns } from './run-targets.js';
import { surveyAll } from './survey-all.js';

/**
 * Goes on with a run that was interrupted or failed in part, with the targets, tags and times that it was begun
 * with, and resolves to all its rows. A run that is done is only looked at. Throws `USAGE` for a run that is
 * not there or was rolled back, `STATE_BUSY` for one that is still going on, and as `publish`.
 */
export async function resume(run: string, options: RunOptions & UnpackOptions): Promise<ResultRow[]> {
  const { store, stateDirectory = STATE_DIRECTORY, signal } = options;
  const openTarget = options.openTarget ?? makeOpenTarget(store, undefined, options.unpackers);
  const now = options.now ?? (() => new Date());
  const journal = await Journal.open(stateDirectory, run, now);
  try {
    const { begin, records } = journal;
    const image = await imageOf(journal, store);
    const reporter = new Reporter(options.onEvent, now);
    const { targets } = begin;
    reporter.tell({ type: 'run', run, image: image.name, targets: targets.map(({ name }) => name) });
    const found = await surveyAll(image, { ...options, openTarget, targets }, now);
    const surveys = found.map(each => ({ ...each, row: withPast(ofRun(each.row, run), records) }));
    return await withTargetRuns(surveys, begin, { ...options, openTarget, now }, async runs => {
      if (anyOpen(runs)) {
        return withUnpacker(needsUnpacker(runs) ? options.unpacker : undefined, async unpacker => {
          await journal.note({ record: 'reopened', to: 'resume' });
          return runTargets(runs, { journal, reporter, unpacker, bytes: image.bytes, signal, now });
        });
      }
      const rows = runs.map(({ row }) => row);
      for (const row of rows) reporter.tell({ type: 'result', row });
      const outcome = outcomeOf(rows);
      if (endOf(records)?.outcome !== outcome) await journal.append({ record: 'end', outcome, rows });
      return rows;
    });
  } finally {
    await journal.close();
  }
}

/** The image that a run goes on with. Throws `USAGE` for one that was rolled back, `IMAGE_UNKNOWN`, `IMAGE_EXISTS`. */
export async function imageOf(
  { begin, records }: Pick<RunRecord, 'begin' | 'records'>,
  store: Store,
): Promise<ImageRecord> {
  if (endOf(records)?.outcome === 'rolled-back') throw rolledBack(begin.run);
  const image = await store.image(begin.image);
  if (image.digest !== begin.digest) throw changed(begin.image, begin.run);
  return image;
}

/** What was said of the run's end, if it has ended. */
export function endOf(records: readonly JournalRecord[]): (JournalRecord & { record: 'end' }) | undefined {
  const last = records.at(-1);
  return last?.record === 'end' ? last : undefined;
}

/** A row of an image that this run made before it was interrupted, with what the journal says of that. */
function withPast(row: ResultRow, records: readonly JournalRecord[]): ResultRow {
  if (row.AmiId === undefined || row.AlreadyPublished) return row;
  const made = records.findLast(
    record => record.record === 'outcome' && record.change === 'create-disk' && record.target === row.Target,
  );
  if (made?.record !== 'outcome' || made.id !== row.SnapshotId) return row;
  const { blocksSent = 0, parentId } = made;
  return {
    ...row,
    BlocksSent: blocksSent,
    ...(parentId === undefined ? {} : { ParentSnapshotId: parentId }),
  };
}

function rolledBack(run: string): ImageUnpackerError {
  return new ImageUnpackerError('USAGE', `The run ${run} was rolled back; publish the image again`);
}

function changed(image: string, run: string): ImageUnpackerError {
  const message = `The image ${image} is not the one any more that ${run} began to publish; roll that back`;
  return new ImageUnpackerError('IMAGE_EXISTS', message, { image });
}
