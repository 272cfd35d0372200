import type { Reporter, RunningStage, StageName } from './event.js';
import type { Journal } from './journal.js';

/** What tells of the stages of a run. */
export interface StageWork {
  readonly journal: Journal;
  readonly reporter: Reporter;
  /** How long what was done took, by its name. */
  readonly stages: Record<string, number>;
}

/** Does a stage of a run, for a target or for all of them, times it, and says so to who watches and in the journal. */
export async function staged<T>(
  { journal, reporter, stages }: StageWork,
  target: string | null,
  stage: StageName,
  work: (running: RunningStage) => Promise<T>,
): Promise<T> {
  await journal.note({ record: 'begun', target, stage });
  const running = reporter.begin(target, stage);
  const end = async (error?: string): Promise<void> => {
    const seconds = (stages[stage] = running.end(error));
    const why = error === undefined ? {} : { error };
    // What was done is not undone by this; where the journal cannot be written, the next record says so.
    await journal.note({ record: 'ended', target, stage, seconds, ...why }).catch(() => undefined);
  };
  let result: T;
  try {
    result = await work(running);
  } catch (reason) {
    await end(reason instanceof Error ? reason.message : String(reason));
    throw reason;
  }
  await end();
  return result;
}
