import { command } from '../command.js';
import { keyValues } from '../option.js';
import { showSize, showTable } from '../show.js';
import { exitCodeOfRows, joinLines, showErrors } from './outcome.js';
import { targetOptions, targetsOf } from './target-options.js';

export const listImagesCommand = command({
  name: 'list-images',
  summary: 'List what is published, oldest first in each target',
  options: {
    ...targetOptions,
    searchTags: keyValues(
      '--search-tag <key=value>',
      'only images with this tag; may be given more than once',
    ),
  },
  run: async ({ options, signal }) => {
    const targets = await targetsOf(options);
    const { listImages } = await import('../../publisher/list-images.js');
    return listImages({ targets, tags: Object.fromEntries(options.searchTags), signal });
  },
  show: rows => {
    const images = rows.filter(({ AmiId }) => AmiId !== undefined);
    const errors = showErrors(rows);
    if (images.length === 0) return joinLines(errors.length === 0 ? 'There are no images' : '', errors);
    const table = showTable(
      ['TARGET', 'ID', 'IMAGE', 'CREATED', 'EXPIRES', 'PREFERRED', 'SIZE', ''].map(title => ({ title })),
      images.map(row => [
        row.Target,
        row.AmiId ?? '',
        row.AmiName ?? '-',
        row.CreationDate ?? '-',
        row.ExpiresAt ?? 'never',
        row.Tags?.['Preferred'] === undefined ? '-' : 'yes',
        row.DiskSize === undefined ? '-' : showSize(row.DiskSize),
        row.Fault ?? '',
      ]),
    );
    return joinLines(table, errors);
  },
  exitCode: rows => exitCodeOfRows(rows),
});
