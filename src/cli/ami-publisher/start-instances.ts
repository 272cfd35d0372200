import type { InstanceRow } from '../../publisher/fleet/options.js';
import type { TargetRow } from '../../publisher/row.js';
import { command } from '../command.js';
import { showTable } from '../show.js';
import { agentOptions, dryRunOption, fleetOf, fleetOptions } from './fleet-options.js';
import { exitCodeOfRows, joinLines, showErrors } from './outcome.js';

export const startInstancesCommand = command({
  name: 'start-instances',
  summary: 'Start the instance of each target that has a name, and wait until it runs',
  details: 'There must be just one of that name; one that is stopping is waited for.',
  options: { ...fleetOptions, ...dryRunOption },
  run: async ({ options, signal }) => {
    const { startUnpackers } = await import('../../publisher/fleet/start-instances.js');
    return startUnpackers({ ...(await fleetOf(options, signal)), dryRun: options.dryRun });
  },
  show: showInstances,
  exitCode: rows => exitCodeOfRows(rows),
});

export const prepareUnpackersCommand = command({
  name: 'prepare-unpackers',
  summary: 'Have an unpacker of each target running and its agent answering, before it is needed',
  details:
    'To be called when a build begins, so that machines start while content is built. What agents know of their volumes ' +
    'they keep, so nothing is scanned in advance.',
  options: { ...agentOptions, ...dryRunOption },
  run: async ({ options, signal }) => {
    const { startUnpackers } = await import('../../publisher/fleet/start-instances.js');
    return startUnpackers({ ...(await fleetOf(options, signal)), agents: true, dryRun: options.dryRun });
  },
  show: showInstances,
  exitCode: rows => exitCodeOfRows(rows),
});

function showInstances(rows: readonly (InstanceRow | TargetRow)[], { dryRun }: { dryRun: boolean }): string {
  const instances = rows.filter((row): row is InstanceRow => 'InstanceId' in row && row.Error === undefined);
  if (instances.length === 0) return joinLines(showErrors(rows));
  const table = showTable(
    ['TARGET', 'INSTANCE', 'ADDRESS', ''].map(title => ({ title })),
    instances.map(row => [
      row.Target,
      row.InstanceId ?? '-',
      row.PrivateIp ?? '-',
      row.AlreadyRunning === true ? 'ran already' : dryRun ? 'would be started' : 'started',
    ]),
  );
  return joinLines(table, showErrors(rows));
}
