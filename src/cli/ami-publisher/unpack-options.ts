import { STATE_DIRECTORY } from '../../publisher/options.js';
import type { Unpacker } from '../../rpc/unpacker.js';
import type { Context, OptionValues } from '../command.js';
import { locationOf, storeOptions } from '../open-store.js';
import { fromEnvironment, optional, withDefault } from '../option.js';

export const stateOptions = {
  stateDir: withDefault(
    '--state-dir <dir>',
    'where runs are kept, and what is unpacked without --unpacker',
    STATE_DIRECTORY,
  ),
};

export const eventOptions = {
  events: optional(
    '--events <file>',
    'where to write what happens, a line of JSON each; - is standard error',
  ),
};

/** The option that says by which name agents of unpackers are verified. */
export const serverNameOption = {
  unpackerServerName: optional(
    '--unpacker-server-name <name>',
    'the name that certificates of unpackers have; default: the private addresses of their instances',
  ),
};

/** The options that say which machines are unpackers. */
export const unpackerOptions = {
  ...serverNameOption,
  unpackerName: optional(
    '--unpacker-name <name>',
    'with the strategy snapshot: what the instances of unpackers are called; default: ImageUnpacker',
  ),
};

/** The options of commands that have images unpacked. */
export const unpackOptions = {
  ...storeOptions,
  ...stateOptions,
  unpacker: fromEnvironment(
    'IMAGE_UNPACKER',
    optional(
      '--unpacker <address>',
      'the agent: HOST:PORT or unix:PATH; default: one that is started for the run',
    ),
  ),
  unpackerConfig: optional(
    '--unpacker-config <file>',
    'how the agent that is started for the run makes volumes: layout, boot, disk, streams, volumes',
  ),
  ...unpackerOptions,
  ...eventOptions,
};

/** How the options say that unpackers of targets are found and reached. */
export function unpackersOf({
  unpackerName,
  unpackerServerName,
  certs,
}: OptionValues<typeof unpackerOptions> & { certs: string | undefined }) {
  return { name: unpackerName, serverName: unpackerServerName, certs };
}

/** The agent that the options name, or one that is started for the run and ends with it. */
export function unpackerOf(
  options: OptionValues<typeof unpackOptions>,
  context: Pick<Context<object, object>, 'signal' | 'log' | 'progress'>,
): () => Promise<Unpacker> {
  return async () => {
    if (options.unpacker !== undefined) {
      const { connectUnpacker } = await import('../../rpc/unpacker-client.js');
      return connectUnpacker(options.unpacker, { certs: options.certs, signal: context.signal });
    }
    const { startUnpacker } = await import('../../publisher/start-unpacker.js');
    const step = context.progress.step('Starting an agent');
    try {
      return await startUnpacker({
        store: locationOf(options),
        limits: options.limits,
        certs: options.certs,
        stateDirectory: options.stateDir,
        configuration: options.unpackerConfig,
        signal: context.signal,
        onLog: line => {
          context.log.debug({ agent: line });
        },
      });
    } finally {
      step.end();
    }
  };
}
