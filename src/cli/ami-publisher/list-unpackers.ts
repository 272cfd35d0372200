import { command } from '../command.js';
import { showDuration, showTable, showText } from '../show.js';
import { agentOptions, fleetOf } from './fleet-options.js';
import { exitCodeOfRows, joinLines, showErrors } from './outcome.js';

export const listUnpackersCommand = command({
  name: 'list-unpackers',
  summary: 'List the unpackers of each target, and what they are at',
  details:
    'Unpackers are instances with the tag Name=ImageUnpacker. None is started; of those that run the agent is asked.',
  options: agentOptions,
  run: async ({ options, signal }) => {
    const { listUnpackers } = await import('../../publisher/fleet/list-unpackers.js');
    return listUnpackers(await fleetOf(options, signal));
  },
  show: rows => {
    const unpackers = rows.flatMap(row =>
      'Unpackers' in row ? row.Unpackers.map(unpacker => ({ ...unpacker, Target: row.Target })) : [],
    );
    if (unpackers.length === 0) return joinLines('There are no unpackers', showErrors(rows));
    const table = showTable(
      ['TARGET', 'INSTANCE', 'ADDRESS', 'ZONE', 'STATE', 'UNUSED FOR', 'AT WORK ON', ''].map(title => ({
        title,
      })),
      unpackers.map(each => [
        each.Target,
        each.InstanceId,
        each.IpAddress ?? '-',
        each.AvailabilityZone,
        each.State,
        each.TimeSinceLastUsed === undefined ? '-' : showDuration(each.TimeSinceLastUsed),
        (each.Busy ?? []).join(' ') || '-',
        showText(each.Error ?? ''),
      ]),
    );
    return joinLines(table, showErrors(rows));
  },
  exitCode: rows => exitCodeOfRows(rows),
});
