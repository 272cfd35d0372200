import type { TaggedRow } from '../../publisher/fleet/options.js';
import type { TargetRow } from '../../publisher/row.js';
import { command } from '../command.js';
import { keyValues, repeated } from '../option.js';
import { showTable } from '../show.js';
import { dryRunOption, fleetOf, fleetOptions } from './fleet-options.js';
import { exitCodeOfRows, joinLines, showErrors } from './outcome.js';

export const setTagsOnUnpackersCommand = command({
  name: 'set-tags-on-unpackers',
  summary: 'Set tags of all unpackers, such as RequiredImage',
  options: {
    ...fleetOptions,
    tags: keyValues('--tag <key=value>', 'a tag that they get; may be given more than once'),
    ...dryRunOption,
  },
  run: async ({ options, signal }) => {
    const { tagUnpackers } = await import('../../publisher/fleet/tag-unpackers.js');
    const set = Object.fromEntries(options.tags);
    return tagUnpackers({ ...(await fleetOf(options, signal)), set, dryRun: options.dryRun });
  },
  show: showTagged,
  exitCode: rows => exitCodeOfRows(rows),
});

export const deleteTagsOnUnpackersCommand = command({
  name: 'delete-tags-on-unpackers',
  summary: 'Remove tags from all unpackers',
  options: {
    ...fleetOptions,
    keys: repeated('--tag <key>', 'a tag that they lose; may be given more than once'),
    ...dryRunOption,
  },
  run: async ({ options, signal }) => {
    const { tagUnpackers } = await import('../../publisher/fleet/tag-unpackers.js');
    return tagUnpackers({
      ...(await fleetOf(options, signal)),
      remove: options.keys,
      dryRun: options.dryRun,
    });
  },
  show: showTagged,
  exitCode: rows => exitCodeOfRows(rows),
});

function showTagged(rows: readonly (TaggedRow | TargetRow)[], { dryRun }: { dryRun: boolean }): string {
  const table = showTable(
    ['TARGET', dryRun ? 'WOULD BE CHANGED' : 'CHANGED'].map(title => ({ title })),
    rows.flatMap(row => ('InstanceIds' in row ? [[row.Target, row.InstanceIds.join(' ')]] : [])),
  );
  return joinLines(table, showErrors(rows));
}
