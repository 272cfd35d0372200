import type { PlanRow } from '../../publisher/plan.js';
import type { ResultRow } from '../../publisher/row.js';
import { command } from '../command.js';
import { withStore } from '../open-store.js';
import { argument, flag } from '../option.js';
import { follow } from './follow.js';
import { exitCodeOfRows } from './outcome.js';
import { isPlan, showPlan } from './show-plan.js';
import { showResults } from './show-results.js';
import { unpackerOf, unpackersOf, unpackOptions } from './unpack-options.js';

export const resumeCommand = command({
  name: 'resume',
  summary: 'Go on with a run that was interrupted, or failed in part',
  details: 'It ends with exactly one image in each target of the run.',
  arguments: { run: argument("the run: 'runs' lists them") },
  options: { ...unpackOptions, dryRun: flag('--dry-run', 'only say what would be done') },
  run: async (context): Promise<PlanRow[] | ResultRow[]> => {
    const { args, options, signal, display } = context;
    const { stateDir: stateDirectory } = options;
    return withStore(options, signal, async store => {
      if (options.dryRun) {
        const { planResume } = await import('../../publisher/plan-resume.js');
        return planResume(args.run, { store, stateDirectory, unpackers: unpackersOf(options), signal });
      }
      const { resume } = await import('../../publisher/resume.js');
      const follower = follow(display, options.events, () => context.log);
      const unpacker = unpackerOf(options, context);
      const { onEvent } = follower;
      try {
        const unpackers = unpackersOf(options);
        return await resume(args.run, { store, unpacker, unpackers, stateDirectory, signal, onEvent });
      } finally {
        follower.end();
      }
    });
  },
  show: rows => (isPlan(rows) ? showPlan(rows) : showResults(rows)),
  exitCode: rows => exitCodeOfRows(rows),
});
