import { command } from '../command.js';
import { withStore } from '../open-store.js';
import { argument } from '../option.js';
import { follow } from './follow.js';
import { exitCodeOfRows } from './outcome.js';
import { showResults } from './show-results.js';
import { unpackerOf, unpackOptions } from './unpack-options.js';

export const resumeCommand = command({
  name: 'resume',
  summary: 'Go on with a run that was interrupted, or failed in part',
  details: 'It ends with exactly one image in each target of the run.',
  arguments: { run: argument("the run: 'runs' lists them") },
  options: unpackOptions,
  run: async context => {
    const { args, options, signal, display } = context;
    const { resume } = await import('../../publisher/resume.js');
    const follower = follow(display, options.events, () => context.log);
    try {
      return await withStore(options, signal, store =>
        resume(args.run, {
          store,
          unpacker: unpackerOf(options, context),
          stateDirectory: options.stateDir,
          signal,
          onEvent: follower.onEvent,
        }),
      );
    } finally {
      follower.end();
    }
  },
  show: showResults,
  exitCode: rows => exitCodeOfRows(rows),
});
