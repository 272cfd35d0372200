import { TAG } from '../cloud/cloud.js';
import { ImageUnpackerError, throwIfAborted } from '../image/error.js';
import type { Change } from './journal.js';
import { Journal } from './journal.js';
import { makeOpenTarget, withTarget } from './open-target.js';
import type { RunOptions } from './options.js';
import { STATE_DIRECTORY } from './options.js';
import { journalled } from './publish-target.js';
import { endOf } from './resume.js';
import type { TargetRow } from './row.js';
import { errorColumns, rowOf } from './row.js';
import type { Target } from './target.js';

/** What was taken back in a target. */
export interface RolledBackRow extends TargetRow {
  Run: string;
  /** The images and disks that were removed, or would be. */
  Removed: string[];
}

/**
 * Removes all that a run has made, and nothing else: what it found published already stays. With `dryRun` it
 * only says what that is. A target that fails has a row with `Error`; then it can be called again. Throws as
 * `resume`.
 */
export async function rollback(
  run: string,
  options: RunOptions & { readonly dryRun?: boolean },
): Promise<RolledBackRow[]> {
  const { stateDirectory = STATE_DIRECTORY, dryRun = false, signal } = options;
  const now = options.now ?? (() => new Date());
  const journal = await Journal.open(stateDirectory, run, now);
  try {
    const rows: RolledBackRow[] = [];
    const begun = once(() => journal.note({ record: 'reopened', to: 'roll-back' }));
    for (const target of journal.begin.targets) {
      throwIfAborted(signal);
      rows.push(await rollBackTarget(target, journal, { ...options, now, dryRun, begun }));
    }
    const failed = rows.some(({ Error }) => Error !== undefined);
    if (!dryRun && !failed && endOf(journal.records)?.outcome !== 'rolled-back') {
      await journal.append({ record: 'end', outcome: 'rolled-back', rows: [] });
    }
    return rows;
  } finally {
    await journal.close();
  }
}

async function rollBackTarget(
  target: Target,
  journal: Journal,
  options: RunOptions & { now: () => Date; dryRun: boolean; begun: () => Promise<void> },
): Promise<RolledBackRow> {
  const { dryRun, now, signal, begun, openTarget: open = makeOpenTarget() } = options;
  const { run } = journal.begin;
  const row: RolledBackRow = { ...rowOf(target), Run: run, Removed: [] };
  if (!isTouched(target, journal)) return row;
  const remove = async (change: Change, id: string, work: () => Promise<void>): Promise<void> => {
    if (!dryRun) {
      await begun();
      await journalled({ journal, target }, change, work, () => ({ id }));
    }
    row.Removed.push(id);
  };
  try {
    await withTarget(target, { write: !dryRun, now, signal, open }, async cloud => {
      for (const { id } of await cloud.images({ [TAG.run]: run }, { signal })) {
        await remove('remove-image', id, () => cloud.remove(id, { signal }));
      }
      for (const { id, tags } of await cloud.unfinished({ signal })) {
        if (tags[TAG.run] !== run) continue;
        await remove('remove-disk', id, () => cloud.removeDisk(id, { signal }));
      }
    });
    return row;
  } catch (reason) {
    return { ...row, ...errorColumns(ImageUnpackerError.from(reason, 'Rolling back failed'), '') };
  }
}

/** Whether the run ever meant to change anything there: before that it need not even be reachable. */
function isTouched(target: Target, { records }: Journal): boolean {
  return records.some(record => record.record === 'intent' && record.target === target.name);
}

/** Work that is done the first time only. */
function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => (done ??= work());
}
