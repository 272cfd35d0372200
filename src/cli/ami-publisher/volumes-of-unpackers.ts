import type { VolumesRow } from '../../publisher/fleet/options.js';
import type { TargetRow } from '../../publisher/row.js';
import { ImageUnpackerError } from '../../image/error.js';
import { command } from '../command.js';
import { argument } from '../option.js';
import { showTable } from '../show.js';
import { agentOptions, dryRunOption, fleetOf } from './fleet-options.js';
import { exitCodeOfRows, joinLines, showErrors } from './outcome.js';

/** The most that a gp3 volume can have. */
const MOST_GIB = 65_536;

export const addVolumesCommand = command({
  name: 'add-volumes',
  summary: 'Make a volume of no stream for an unpacker of each target, to try things with',
  details:
    'Publishing makes the volumes that it needs itself. remove-unused-volumes removes this one, unless a stream is pinned to it.',
  arguments: { gib: argument('how many GiB it has', parseGib) },
  options: { ...agentOptions, ...dryRunOption },
  run: async ({ args, options, signal }) => {
    const { addVolumes } = await import('../../publisher/fleet/volumes.js');
    return addVolumes({ ...(await fleetOf(options, signal)), size: args.gib, dryRun: options.dryRun });
  },
  show: (rows, { dryRun }) => showVolumes(rows, dryRun ? 'WOULD BE ADDED TO' : 'ADDED'),
  exitCode: rows => exitCodeOfRows(rows),
});

export const removeUnusedVolumesCommand = command({
  name: 'remove-unused-volumes',
  summary: 'Remove the volumes of unpackers that are of no stream',
  details:
    'Those are removed that an agent has pinned no stream to, and those that are attached nowhere and have no stream. What is ' +
    'attached to an unpacker that does not run stays, which is an error: start it first.',
  options: { ...agentOptions, ...dryRunOption },
  run: async ({ options, signal }) => {
    const { removeUnusedVolumes } = await import('../../publisher/fleet/volumes.js');
    return removeUnusedVolumes({ ...(await fleetOf(options, signal)), dryRun: options.dryRun });
  },
  show: (rows, { dryRun }) => showVolumes(rows, dryRun ? 'WOULD BE REMOVED' : 'REMOVED'),
  exitCode: rows => exitCodeOfRows(rows),
});

function parseGib(text: string): number {
  const size = Number(text);
  if (/^\d+$/.test(text) && size >= 1 && size <= MOST_GIB) return size;
  throw new ImageUnpackerError('USAGE', `"${text}" is not a number of GiB from 1 to ${String(MOST_GIB)}`);
}

function showVolumes(rows: readonly (VolumesRow | TargetRow)[], title: string): string {
  const table = showTable(
    ['TARGET', title, 'GIB'].map(each => ({ title: each })),
    rows.flatMap(row =>
      'VolumeIds' in row
        ? [[row.Target, row.VolumeIds.join(' ') || (row.InstanceId ?? '-'), String(row.Size)]]
        : [],
    ),
  );
  return joinLines(table, showErrors(rows));
}
