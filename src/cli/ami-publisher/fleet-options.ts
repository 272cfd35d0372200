import type { FleetOptions } from '../../publisher/fleet/options.js';
import type { OptionValues } from '../command.js';
import { flag, optional } from '../option.js';
import { targetOptions, targetsOf } from './target-options.js';
import { serverNameOption } from './unpack-options.js';

/** The options that say which unpackers are meant. */
export const fleetOptions = {
  ...targetOptions,
  unpackerName: optional(
    '--unpacker-name <name>',
    'what their instances are called, by the tag Name; default: ImageUnpacker',
  ),
};

/** The options of commands that call the agents on them. */
export const agentOptions = {
  ...fleetOptions,
  certs: optional('--certs <dir>', 'ca.pem, cert.pem and key.pem; default: /etc/image-unpacker/certs'),
  ...serverNameOption,
};

export const dryRunOption = { dryRun: flag('--dry-run', 'only say what would be done') };

/** Which unpackers the options mean. */
export async function fleetOf(
  options: OptionValues<typeof fleetOptions> & {
    certs?: string | undefined;
    unpackerServerName?: string | undefined;
  },
  signal: AbortSignal,
): Promise<FleetOptions> {
  const { unpackerName, certs, unpackerServerName: serverName } = options;
  return { targets: await targetsOf(options), unpackerName, certs, serverName, signal };
}
