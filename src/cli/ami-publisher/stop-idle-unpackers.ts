import { parseDuration } from '../../image/duration.js';
import { command } from '../command.js';
import { optional } from '../option.js';
import { showTable } from '../show.js';
import { agentOptions, dryRunOption, fleetOf } from './fleet-options.js';
import { exitCodeOfRows, joinLines, showErrors } from './outcome.js';

const USUAL_SECONDS = 300;

export const stopIdleUnpackersCommand = command({
  name: 'stop-idle-unpackers',
  summary: 'Stop the unpackers that have had nothing to do for a while',
  details:
    'An unpacker whose agent does not answer runs on, and is an error. Publishing starts those that are stopped when it needs them.',
  options: {
    ...agentOptions,
    maxIdleTime: optional(
      '--max-idle-time <duration>',
      'how long one may do nothing; default: 5m',
      parseDuration,
    ),
    ...dryRunOption,
  },
  run: async ({ options, signal }) => {
    const { stopIdleUnpackers } = await import('../../publisher/fleet/stop-idle-unpackers.js');
    const { maxIdleTime: maxIdle = USUAL_SECONDS, dryRun } = options;
    return stopIdleUnpackers({ ...(await fleetOf(options, signal)), maxIdle, dryRun });
  },
  show: (rows, { dryRun }) =>
    joinLines(
      showTable(
        ['TARGET', dryRun ? 'WOULD BE STOPPED' : 'STOPPED', 'RUN ON'].map(title => ({ title })),
        rows.flatMap(row =>
          'Stopped' in row ? [[row.Target, row.Stopped.join(' ') || '-', row.Running.join(' ') || '-']] : [],
        ),
      ),
      showErrors(rows),
    ),
  exitCode: rows => exitCodeOfRows(rows),
});
