import { command } from '../command.js';
import { flag } from '../option.js';
import { showTable } from '../show.js';
import { exitCodeOfRows, joinLines, showErrors } from './outcome.js';
import { targetOptions, targetsOf } from './target-options.js';

export const expireCommand = command({
  name: 'expire',
  summary: 'Delete the images that have expired, with their disks',
  details: 'One that is preferred stays, and is told of: machines are started of it.',
  options: { ...targetOptions, dryRun: flag('--dry-run', 'only say what has expired') },
  run: async ({ options, signal }) => {
    const targets = await targetsOf(options);
    const { expire } = await import('../../publisher/expire.js');
    return expire({ targets, dryRun: options.dryRun, signal });
  },
  show: (rows, { dryRun }) => {
    if (rows.length === 0) return 'No image has expired';
    const table = showTable(
      ['TARGET', 'ID', 'IMAGE', 'EXPIRED', ''].map(title => ({ title })),
      rows.map(row => [
        row.Target,
        row.AmiId ?? row.SnapshotId ?? '-',
        row.ImageName ?? '-',
        row.ExpiresAt ?? '-',
        row.Deleted ? 'deleted' : dryRun && row.Error === undefined ? 'would be deleted' : 'still there',
      ]),
    );
    return joinLines(table, showErrors(rows));
  },
  exitCode: rows => exitCodeOfRows(rows),
});
