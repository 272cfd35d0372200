import { command } from '../command.js';
import { showTable } from '../show.js';
import { stateOptions } from './unpack-options.js';

export const runsCommand = command({
  name: 'runs',
  summary: 'List the runs, oldest first',
  details: 'One that is interrupted, or failed in part, can be resumed or rolled back.',
  options: stateOptions,
  run: async ({ options }) => {
    const { runs } = await import('../../publisher/runs.js');
    return runs({ stateDirectory: options.stateDir });
  },
  show: rows =>
    rows.length === 0
      ? 'There are no runs'
      : showTable(
          ['RUN', 'STATE', 'IMAGE', 'TARGETS'].map(title => ({ title })),
          rows.map(row => [row.Run, row.State, row.ImageName, row.Targets.join(' ')]),
        ),
});
