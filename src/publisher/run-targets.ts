import type { CloudTarget, PublishedImage } from '../cloud/cloud.js';
import { TAG } from '../cloud/cloud.js';
import { cancelled, ImageUnpackerError, throwIfAborted } from '../image/error.js';
import type { Unpacker } from '../rpc/unpacker.js';
import type { Reporter } from './event.js';
import type { Journal, RunBegin, RunOutcome } from './journal.js';
import { makeOpenTarget } from './open-target.js';
import type { TargetsOptions } from './options.js';
import type { ProducedDisk } from './produce-disk.js';
import { produceDisk } from './produce-disk.js';
import { clearTarget, publishTarget, publishUnpacked } from './publish-target.js';
import type { Published } from './publish-target.js';
import type { ResultRow } from './row.js';
import { imageColumns } from './row.js';
import { shareBlocks } from './share-blocks.js';
import type { SharedContent } from './share-blocks.js';
import { surveyTarget } from './survey.js';
import type { SurveyedTarget } from './survey-all.js';
import { failedRow, publishedRow } from './survey-all.js';
import type { Target } from './target.js';

/** A target in a run. It is open, and nobody else's to change, for as long as there is something to do. */
export interface TargetRun {
  readonly target: Target;
  row: ResultRow;
  cloud: CloudTarget | undefined;
  /** What stands in the way. */
  replaces: readonly PublishedImage[];
}

/** Whether there is a target where something is to be done. */
export function planned(surveys: readonly SurveyedTarget[]): boolean {
  return surveys.some(({ survey }) => survey?.kind === 'publish');
}

/** Whether there is a target left where something is to be done. */
export function anyOpen(runs: readonly TargetRun[]): boolean {
  return runs.some(({ cloud }) => cloud !== undefined);
}

/** Whether there is a target left that is given a disk; others unpack the image themselves. */
export function needsUnpacker(runs: readonly TargetRun[]): boolean {
  return runs.some(isFed);
}

function isFed({ cloud }: TargetRun): boolean {
  return cloud !== undefined && cloud.unpackDisk === undefined;
}

/** Opens the targets where something is to be done by a run, does `work`, and closes them. Throws `CANCELLED`. */
export async function withTargetRuns<T>(
  surveys: readonly SurveyedTarget[],
  begin: Pick<RunBegin, 'run' | 'image' | 'digest'>,
  options: Pick<TargetsOptions, 'signal' | 'openTarget'> & { now: () => Date },
  work: (runs: readonly TargetRun[]) => Promise<T>,
): Promise<T> {
  const runs = await Promise.all(surveys.map(survey => openTargetRun(survey, begin, options)));
  try {
    throwIfAborted(options.signal);
    return await work(runs);
  } finally {
    for (const { cloud } of runs) await cloud?.close();
  }
}

async function openTargetRun(
  { target, row, survey }: SurveyedTarget,
  { run, image, digest }: Pick<RunBegin, 'run' | 'image' | 'digest'>,
  { signal, openTarget: open = makeOpenTarget(), now }: Parameters<typeof withTargetRuns>[2],
): Promise<TargetRun> {
  const opened: TargetRun = { target, row, cloud: undefined, replaces: [] };
  if (survey?.kind !== 'publish') return opened;
  try {
    opened.cloud = await open(target, { write: true, now, signal });
    // Another publisher may have been at work until now.
    const current = await surveyTarget(opened.cloud, { name: image, digest }, now(), signal);
    if (current.kind === 'published') await end(opened, ofRun(publishedRow(row, current.image), run));
    else opened.replaces = current.replaces;
  } catch (reason) {
    await end(opened, failedRow(row, reason));
  }
  return opened;
}

/** What this run has published itself, before it was interrupted, was not published already. */
export function ofRun(row: ResultRow, run: string): ResultRow {
  return row.Run === run ? { ...row, AlreadyPublished: false } : row;
}

/** What a run works with. */
export interface RunWork {
  readonly journal: Journal;
  readonly reporter: Reporter;
  /** Undefined when all targets unpack the image themselves. */
  readonly unpacker: Unpacker | undefined;
  /** Of the image's content. */
  readonly bytes: bigint;
  readonly signal: AbortSignal | undefined;
  readonly now: () => Date;
}

/** Publishes to all targets that are open, ends the run, and resolves to the rows. Throws `CANCELLED`. */
export async function runTargets(runs: readonly TargetRun[], work: RunWork): Promise<ResultRow[]> {
  const { journal, reporter, signal } = work;
  await Promise.all(runs.map(run => clear(run, work)));
  await Promise.all([
    publishOpen(runs.filter(isFed), work),
    ...runs.filter(run => run.cloud !== undefined && !isFed(run)).map(run => publishAlone(run, work)),
  ]);
  const rows = runs.map(({ row }) => row);
  if (signal?.aborted === true && rows.some(({ Error }) => Error !== undefined)) {
    throw interrupted(journal.begin.run);
  }
  for (const row of rows) reporter.tell({ type: 'result', row });
  await journal.append({ record: 'end', outcome: outcomeOf(rows), rows });
  return rows;
}

/** How a run has ended that has these rows. */
export function outcomeOf(rows: readonly ResultRow[]): RunOutcome {
  const failed = rows.filter(({ Error }) => Error !== undefined).length;
  if (failed === 0) return 'done';
  return failed === rows.length ? 'failed' : 'partly';
}

async function clear(run: TargetRun, { journal, reporter, signal, now }: RunWork): Promise<void> {
  const { target, row, cloud, replaces } = run;
  if (cloud === undefined) return;
  try {
    await clearTarget({ target, cloud, journal, reporter, signal, now, stages: {} }, replaces);
  } catch (reason) {
    await end(run, failedRow(row, reason));
  }
}

async function publishOpen(runs: readonly TargetRun[], work: RunWork): Promise<void> {
  if (runs.length === 0) return;
  const { journal, unpacker } = work;
  const stages: Record<string, number> = {};
  try {
    const { capture, blocksWritten, boot } = await produceDisk(unpacker!, journal.begin, { ...work, stages });
    try {
      const contents = shareBlocks(capture, runs.length);
      await Promise.all(
        runs.map((run, at) => publishOne(run, { content: contents[at]!, blocksWritten, boot, stages }, work)),
      );
    } finally {
      await capture.close();
    }
  } catch (reason) {
    for (const run of runs) if (run.cloud !== undefined) await end(run, failedRow(run.row, reason));
  }
}

/** Publishes to a target that unpacks the image itself. */
async function publishAlone(
  run: TargetRun,
  { journal, reporter, signal, now, bytes }: RunWork,
): Promise<void> {
  const { target, cloud } = run;
  const stages: Record<string, number> = {};
  try {
    const work = { target, cloud: cloud!, journal, reporter, signal, now, stages };
    const { image, blocksWritten } = await publishUnpacked(work, bytes);
    const row = rowWith(run.row, { image, blocksSent: 0, parentId: undefined });
    const written = blocksWritten === null ? {} : { BlocksWritten: blocksWritten };
    await end(run, { ...row, ...written, Stages: stages });
  } catch (reason) {
    await end(run, { ...failedRow(run.row, reason), Stages: stages });
  }
}

/** What was made for all targets, as one of them gets it. */
interface Produced extends Omit<ProducedDisk, 'capture'> {
  readonly content: SharedContent;
  readonly stages: Readonly<Record<string, number>>;
}

async function publishOne(
  run: TargetRun,
  { content, blocksWritten, boot, stages: before }: Produced,
  { journal, reporter, signal, now }: RunWork,
): Promise<void> {
  const { target, cloud } = run;
  const stages = { ...before };
  try {
    const work = { target, cloud: cloud!, journal, reporter, signal, now, stages };
    const row = rowWith(run.row, await publishTarget(work, { content, boot }));
    const written = blocksWritten === null ? {} : { BlocksWritten: blocksWritten };
    await end(run, { ...row, ...written, Stages: stages });
  } catch (reason) {
    await end(run, { ...failedRow(run.row, reason), Stages: stages });
  } finally {
    content.leave();
  }
}

function rowWith(row: ResultRow, { image, blocksSent, parentId }: Published): ResultRow {
  const parent = parentId === undefined ? {} : { ParentSnapshotId: parentId };
  return { ...row, ...imageColumns(image), ...parent, BlocksSent: blocksSent, Run: image.tags[TAG.run]! };
}

/** Says what became of a target, and lets go of it. */
async function end(run: TargetRun, row: ResultRow): Promise<void> {
  run.row = row;
  const { cloud } = run;
  run.cloud = undefined;
  await cloud?.close();
}

/** The error of a run that its caller stopped. */
function interrupted(run: string): ImageUnpackerError {
  const message = `Interrupted: resume ${run} goes on with it, rollback ${run} takes back what it has made`;
  return new ImageUnpackerError('CANCELLED', message, {}, cancelled());
}
