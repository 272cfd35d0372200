import { command } from '../command.js';
import { storeOptions } from '../open-store.js';
import { optional, repeated } from '../option.js';

export const serveCommand = command({
  name: 'serve',
  summary: 'Run the agent: keep a volume for each stream, and serve who publishes',
  details: `Listens on a Unix socket, which serves root and its own user, or on TCP with TLS and
certificates on both ends. Flags count before the environment, and that before the file.
Ends in order on SIGTERM: work is stopped, and the next run carries on.`,
  options: {
    config: optional('--config <file>', 'the configuration, in YAML'),
    listen: repeated('--listen <address>', 'where to listen: unix:PATH or HOST:PORT; may be repeated'),
    stateDir: optional('--state-dir <dir>', 'where what is known of volumes is kept'),
    volumes: optional('--volumes <dir>', 'where the agent makes volumes of its own, as image files'),
    ...storeOptions,
  },
  run: async ({ options, signal, log }) => {
    const { runAgent } = await import('./run-agent.js');
    await runAgent(options, { signal, log });
  },
  show: () => '',
});
