import type { RunOutcome, RunRecord } from './journal.js';
import { listRuns } from './journal.js';
import type { RunOptions } from './options.js';
import { STATE_DIRECTORY } from './options.js';
import { endOf } from './resume.js';

/** A run, and how it is. */
export interface RunRow {
  Run: string;
  ImageName: string;
  ImageDigest: string;
  /** RFC 3339. */
  StartedAt: string;
  EndedAt?: string;
  /** `interrupted` can be resumed or rolled back; `running` is at work now. */
  State: RunOutcome | 'running' | 'interrupted';
  Targets: string[];
  /** The targets that failed. */
  Failed: string[];
}

/** All runs, oldest first. Throws `STATE_DAMAGED` naming the journal. */
export async function runs({ stateDirectory = STATE_DIRECTORY }: RunOptions = {}): Promise<RunRow[]> {
  return (await listRuns(stateDirectory)).map(describeRun);
}

/** How a run is, by its journal. */
export function describeRun({ begin, records, running }: RunRecord): RunRow {
  const end = endOf(records);
  return {
    Run: begin.run,
    ImageName: begin.image,
    ImageDigest: begin.digest,
    StartedAt: begin.time,
    ...(end === undefined ? {} : { EndedAt: end.time }),
    State: running ? 'running' : (end?.outcome ?? 'interrupted'),
    Targets: begin.targets.map(({ name }) => name),
    Failed: (end?.rows ?? []).filter(row => row.Error !== undefined).map(row => row.Target),
  };
}
