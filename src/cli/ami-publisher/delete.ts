import { command } from '../command.js';
import { flag, manyArguments } from '../option.js';
import { showTable } from '../show.js';
import { exitCodeOfRows, joinLines, showErrors } from './outcome.js';
import { resultOptions, resultsOf } from './target-options.js';

export const deleteCommand = command({
  name: 'delete',
  summary: 'Delete the images of some results, with their disks',
  arguments: { results: manyArguments('files that hold what publish --json printed') },
  options: { ...resultOptions, dryRun: flag('--dry-run', 'only say what would be deleted') },
  run: async ({ args, options, signal }) => {
    const given = await resultsOf(args.results, options);
    const { deleteImages } = await import('../../publisher/delete-images.js');
    return deleteImages({ ...given, dryRun: options.dryRun, signal });
  },
  show: (rows, { dryRun }) =>
    joinLines(
      showTable(
        ['TARGET', 'ID', 'IMAGE', ''].map(title => ({ title })),
        rows.map(row => {
          const was = 'Deleted' in row && row.Deleted;
          const done = dryRun ? 'would be deleted' : 'deleted';
          return [row.Target, row.AmiId, row.ImageName ?? '-', was ? done : 'not there'];
        }),
      ),
      showErrors(rows),
    ),
  exitCode: rows => exitCodeOfRows(rows),
});
