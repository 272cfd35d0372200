import { command } from '../command.js';
import { flag, manyArguments } from '../option.js';
import { showTable } from '../show.js';
import { exitCodeOfRows, joinLines, showErrors } from './outcome.js';
import { imagesOf, resultOptions } from './target-options.js';

export const promoteCommand = command({
  name: 'promote',
  summary: 'Make the images of some results the preferred ones of their streams',
  details: `They get the tag Preferred=true first; then, on AWS, the parameters of the stream name them; only then the others
lose the tag. An image notes which one was preferred before it: with --back that one is preferred again, in place of those
of the results.`,
  arguments: { results: manyArguments('files that hold what publish --json printed') },
  options: {
    ...resultOptions,
    back: flag('--back', 'prefer again what was preferred before them'),
    dryRun: flag('--dry-run', 'only say what would be done'),
  },
  run: async ({ args, options, signal }) => {
    const given = await imagesOf(args.results, options);
    const { promote } = await import('../../publisher/promote.js');
    return promote({ ...given, back: options.back, dryRun: options.dryRun, signal });
  },
  show: (rows, { dryRun }) =>
    joinLines(
      showTable(
        ['TARGET', 'PREFERRED', 'IMAGE', 'NO LONGER PREFERRED'].map((title, at) => ({
          title: dryRun && at % 2 === 1 ? `WOULD BE ${title}` : title,
        })),
        rows.map(row => {
          const before = 'Demoted' in row ? row.Demoted.join(' ') : '';
          return [row.Target, row.Error === undefined ? row.AmiId : '-', row.ImageName ?? '-', before || '-'];
        }),
      ),
      showErrors(rows),
    ),
  exitCode: rows => exitCodeOfRows(rows),
});
