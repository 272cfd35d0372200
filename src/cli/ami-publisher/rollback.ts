import { command } from '../command.js';
import { argument, flag } from '../option.js';
import { showTable } from '../show.js';
import { exitCodeOfRows, joinLines, showErrors } from './outcome.js';
import { stateOptions } from './unpack-options.js';

export const rollbackCommand = command({
  name: 'rollback',
  summary: 'Remove all that a run has made, and nothing else',
  arguments: { run: argument("the run: 'runs' lists them") },
  options: { ...stateOptions, dryRun: flag('--dry-run', 'only say what would be removed') },
  run: async ({ args, options, signal }) => {
    const { rollback } = await import('../../publisher/rollback.js');
    return rollback(args.run, { stateDirectory: options.stateDir, dryRun: options.dryRun, signal });
  },
  show: (rows, { dryRun }) =>
    joinLines(
      showTable(
        [{ title: 'TARGET' }, { title: dryRun ? 'WOULD BE REMOVED' : 'REMOVED' }],
        rows.map(row => [row.Target, row.Removed.join(' ') || 'nothing']),
      ),
      showErrors(rows),
    ),
  exitCode: rows => exitCodeOfRows(rows),
});
