import { command } from '../command.js';
import { argument, flag, manyArguments } from '../option.js';
import { showTable } from '../show.js';
import { exitCodeOfRows, joinLines, showErrors } from './outcome.js';
import { resultOptions, resultsOf } from './target-options.js';

export const deleteTagsCommand = command({
  name: 'delete-tags',
  summary: 'Remove a tag from the images of some results, and from their disks',
  details: 'Without ExpiresAt images stay. Tags that images are known by are refused.',
  arguments: {
    key: argument('the key of the tag'),
    results: manyArguments('files that hold what publish --json printed'),
  },
  options: { ...resultOptions, dryRun: flag('--dry-run', 'only say which images have it') },
  run: async ({ args, options, signal }) => {
    const { deleteTags } = await import('../../publisher/delete-tags.js');
    const given = await resultsOf(args.results, options);
    return deleteTags(args.key, { ...given, dryRun: options.dryRun, signal });
  },
  show: (rows, { dryRun }) =>
    joinLines(
      showTable(
        ['TARGET', 'ID', 'IMAGE', 'TAG', ''].map(title => ({ title })),
        rows.map(row => {
          const tag = 'Key' in row ? `${row.Key}${row.Value === undefined ? '' : `=${row.Value}`}` : '-';
          const done = dryRun ? 'would be removed' : 'removed';
          const state =
            row.Error !== undefined ? 'failed' : 'Deleted' in row && row.Deleted ? done : 'not there';
          return [row.Target, row.AmiId, row.ImageName ?? '-', tag, state];
        }),
      ),
      showErrors(rows),
    ),
  exitCode: rows => exitCodeOfRows(rows),
});
