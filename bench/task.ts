import { ImageUnpackerError } from '../src/image/error.js';
import type { Cost } from './measure.js';
import type { Workshop } from './workshop.js';

/** What a contestant did: what it cost and, when that was asked for, how good the result is. */
export interface Attempt {
  cost: Cost;
  result?: string;
}

/** A tool that can do a task. */
export interface Contestant {
  tool: string;
  /** Does it once, from the same start each time. */
  attempt(examine: boolean): Promise<Attempt>;
}

/** Something that several tools can do. */
export interface Task {
  title: string;
  /** The tool that the others are compared with. */
  base: string;
  contestants: readonly Contestant[];
  /** How often each does it, when that is part of the task. */
  rounds?: number;
}

export type Suite = (workshop: Workshop) => Promise<Task[]> | Task[];

/** What came of a contestant's attempts. */
export interface Score {
  tool: string;
  costs: Cost[];
  /** `exact`, in what it differs from what was wanted, why it failed, or nothing where there is no result. */
  result: string;
}

export interface TaskScores {
  title: string;
  base: string;
  scores: Score[];
}

/**
 * Has all contestants do a task so many times, in turns, so that whatever else the machine does meets all of
 * them. The result of the first time is examined. Who fails is out. Throws `CANCELLED`.
 */
export async function runTask(task: Task, runs: number, say: (text: string) => void): Promise<TaskScores> {
  const rounds = task.rounds ?? runs;
  const scores = task.contestants.map(({ tool }): Score => ({ tool, costs: [], result: '' }));
  const failed = new Set<Contestant>();
  for (let round = 1; round <= rounds; round++) {
    for (const [number, contestant] of task.contestants.entries()) {
      if (failed.has(contestant)) continue;
      const score = scores[number]!;
      say(`${task.title}, round ${String(round)} of ${String(rounds)}: ${contestant.tool}`);
      try {
        const { cost, result } = await contestant.attempt(round === 1);
        score.costs.push(cost);
        score.result = result ?? score.result;
      } catch (reason) {
        if (!(reason instanceof ImageUnpackerError) || !reason.code.startsWith('TOOL_')) throw reason;
        failed.add(contestant);
        score.result = reason.message;
      }
    }
  }
  return { title: task.title, base: task.base, scores };
}
