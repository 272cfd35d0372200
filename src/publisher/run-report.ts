import type { ComparedImages } from '../store/diff-images.js';
import type { StageName } from './event.js';
import type { JournalRecord, RunOutcome, RunRecord } from './journal.js';
import type { ResultRow, TargetRow } from './row.js';
import { rowOf } from './row.js';
import type { RunRow } from './runs.js';
import { describeRun } from './runs.js';
import type { Target } from './target.js';

/** A part of a run, and when it was done. `remove` is of what stood in the way, or was taken back. */
export interface StageReport {
  /** Null for what is done for all targets. */
  Target: string | null;
  Stage: StageName | 'remove';
  /** RFC 3339. */
  StartedAt: string;
  /** Null for what was never ended. */
  EndedAt: string | null;
  Error?: string;
}

/** What was done to a run without leaving it. */
export interface AttemptReport {
  To: 'publish' | 'resume' | 'roll-back';
  StartedAt: string;
  /** When the last was heard of it. */
  EndedAt: string;
  Outcome: RunOutcome | 'running' | 'interrupted';
  Stages: StageReport[];
}

/** What became of a target: what its row of results says, as far as it got one, else what the journal tells. */
export interface TargetReport extends TargetRow, Partial<Omit<ResultRow, keyof TargetRow>> {
  State: 'published' | 'published already' | 'failed' | 'interrupted' | 'running' | 'rolled back';
  /** The image that the disk's parent is of. */
  ParentImageName?: string;
  /** The images and disks that were removed, be it that they stood in the way or were taken back. */
  Removed: string[];
}

/** What a run did, when, and what came of it. */
export interface RunReport extends Omit<RunRow, 'Targets' | 'Failed'> {
  ExpiresAt: string | null;
  Tags: Readonly<Record<string, string>>;
  Targets: TargetReport[];
  Attempts: AttemptReport[];
  /** How the image differs from the one before it; null where that is not known: `ChangesFault` says why. */
  Changes: ComparedImages | null;
  ChangesFault?: string;
}

/** What the journal of a run tells, of any version and wherever it was left. */
export function describeJournal(run: RunRecord): Omit<RunReport, 'Changes' | 'ChangesFault'> {
  const { begin, records, running } = run;
  const { Targets: _targets, Failed: _failed, ...row } = describeRun(run);
  const attempts = attemptsOf(records);
  return {
    ...row,
    ExpiresAt: begin.expiresAt,
    Tags: begin.tags,
    Targets: begin.targets.map(target => describeTarget(target, records, running)),
    Attempts: attempts.map((part, at) => describeAttempt(part, running && at === attempts.length - 1)),
  };
}

/** The records of each attempt. In old journals one that went on after a kill is not told from the one before. */
function attemptsOf(records: readonly JournalRecord[]): JournalRecord[][] {
  const attempts: JournalRecord[][] = [];
  let isOver = true;
  for (const record of records) {
    if (isOver || record.record === 'reopened') attempts.push([]);
    attempts.at(-1)!.push(record);
    isOver = record.record === 'end';
  }
  return attempts;
}

function describeAttempt(records: readonly JournalRecord[], running: boolean): AttemptReport {
  const [first, last] = [records[0]!, records.at(-1)!];
  const outcome = last.record === 'end' ? last.outcome : running ? 'running' : 'interrupted';
  const isRollback = last.record === 'end' && last.outcome === 'rolled-back';
  const reopened = first.record === 'begin' ? 'publish' : isRollback ? 'roll-back' : 'resume';
  return {
    To: first.record === 'reopened' ? first.to : reopened,
    StartedAt: first.time,
    EndedAt: last.time,
    Outcome: outcome,
    Stages: stagesOf(records),
  };
}

/** The stages; in journals that have none, the changes that they are made of. */
function stagesOf(records: readonly JournalRecord[]): StageReport[] {
  const stages: StageReport[] = [];
  const open = new Map<string, StageReport>();
  const begin = (key: string, target: string | null, stage: StageReport['Stage'], time: string): void => {
    const begun = { Target: target, Stage: stage, StartedAt: time, EndedAt: null };
    open.set(key, begun);
    stages.push(begun);
  };
  const end = (key: string, time: string, error: string | undefined): void => {
    const begun = open.get(key);
    if (begun === undefined) return;
    open.delete(key);
    begun.EndedAt = time;
    if (error !== undefined) begun.Error = error;
  };
  const isOld = !records.some(({ record }) => record === 'begun');
  for (const record of records) {
    if (record.record === 'begun' || record.record === 'ended') {
      const { target, stage, time } = record;
      const key = JSON.stringify([target, stage]);
      if (record.record === 'begun') begin(key, target, stage, time);
      else end(key, time, record.error);
    } else if (record.record === 'intent' || record.record === 'outcome') {
      const { target, change, time } = record;
      const stage = STAGE_OF[change];
      if (stage !== 'remove' && !isOld) continue;
      const key = JSON.stringify([target, change]);
      if (record.record === 'intent') begin(key, target, stage, time);
      else end(key, time, record.error);
    }
  }
  return stages;
}

const STAGE_OF = {
  'create-disk': 'disk',
  register: 'register',
  'remove-disk': 'remove',
  'remove-image': 'remove',
} as const;

function describeTarget(target: Target, records: readonly JournalRecord[], running: boolean): TargetReport {
  const unended = running ? 'running' : 'interrupted';
  const start: TargetReport = {
    ...rowOf(target),
    Strategy: target.strategy,
    State: unended,
    Removed: [],
  };
  return records.reduce((report, record) => {
    if (record.record === 'end') return atEnd(report, record);
    if (!('target' in record) || record.target !== target.name) return report;
    return withRecord(report, record, unended);
  }, start);
}

function atEnd(report: TargetReport, { outcome, rows }: JournalRecord & { record: 'end' }): TargetReport {
  if (outcome === 'rolled-back') return { ...report, State: 'rolled back' };
  const row = rows.find(({ Target }) => Target === report.Target);
  if (row === undefined) return report;
  const { Error: _error, ErrorCode: _code, ...rest } = report;
  const good = row.AlreadyPublished ? 'published already' : 'published';
  return { ...rest, ...row, State: row.Error === undefined ? good : 'failed' };
}

/** What a record says that is newer than what is known. */
function withRecord(
  report: TargetReport,
  record: JournalRecord,
  unended: 'running' | 'interrupted',
): TargetReport {
  if (record.record === 'intent' && STAGE_OF[record.change] !== 'remove') {
    const { Error: _error, ErrorCode: _code, ...rest } = report;
    return { ...rest, State: unended };
  }
  if (record.record === 'sent') {
    const { diskId, blocks } = record;
    const before = report.SnapshotId === diskId ? (report.BlocksSent ?? 0) : 0;
    return { ...report, SnapshotId: diskId, BlocksSent: before + blocks.length };
  }
  if (record.record !== 'outcome') return report;
  const { change, id, error, blocksSent, parentId, parentImage } = record;
  if (error !== undefined) return { ...report, Error: error, State: 'failed' };
  if (STAGE_OF[change] === 'remove') {
    return { ...report, Removed: id === undefined ? report.Removed : [...report.Removed, id] };
  }
  if (change === 'register')
    return { ...report, ...(id === undefined ? {} : { AmiId: id }), State: 'published' };
  return {
    ...report,
    ...(id === undefined ? {} : { SnapshotId: id }),
    ...(blocksSent === undefined ? {} : { BlocksSent: blocksSent }),
    ...(parentId === undefined ? {} : { ParentSnapshotId: parentId }),
    ...(parentImage === undefined ? {} : { ParentImageName: parentImage }),
  };
}
