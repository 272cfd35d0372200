import { command } from '../command.js';
import { argument, flag, manyArguments } from '../option.js';
import { showTable } from '../show.js';
import { exitCodeOfRows, joinLines, showErrors } from './outcome.js';
import { imagesOf, resultOptions } from './target-options.js';

export const setExclusiveTagsCommand = command({
  name: 'set-exclusive-tags',
  summary: 'Give the images of some results a tag that no other image of their streams has',
  details: `They get it first; then the others lose it. Preferred with the value true is what 'promote' does. Tags that images
are known by are refused.`,
  arguments: {
    key: argument('the key of the tag'),
    value: argument('its value'),
    results: manyArguments('files that hold what publish --json printed'),
  },
  options: { ...resultOptions, dryRun: flag('--dry-run', 'only say what would be done') },
  run: async ({ args, options, signal }) => {
    const { setExclusiveTags } = await import('../../publisher/set-exclusive-tags.js');
    const given = await imagesOf(args.results, options);
    return setExclusiveTags(args.key, args.value, { ...given, dryRun: options.dryRun, signal });
  },
  show: (rows, { dryRun }) =>
    joinLines(
      showTable(
        ['TARGET', 'TAGGED', 'IMAGE', 'NO LONGER TAGGED'].map((title, at) => ({
          title: dryRun && at % 2 === 1 ? `WOULD BE ${title}` : title,
        })),
        rows.map(row => {
          const before = 'Untagged' in row ? row.Untagged.join(' ') : '';
          return [row.Target, row.Error === undefined ? row.AmiId : '-', row.ImageName ?? '-', before || '-'];
        }),
      ),
      showErrors(rows),
    ),
  exitCode: rows => exitCodeOfRows(rows),
});
