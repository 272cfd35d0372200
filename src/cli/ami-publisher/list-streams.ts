import type { StreamList } from '../../publisher/list-streams.js';
import { command } from '../command.js';
import { EXIT_CODES } from '../exit-code.js';
import { showText } from '../show.js';
import { joinLines, showErrors } from './outcome.js';
import { targetOptions, targetsOf } from './target-options.js';

/** What is printed of a list of streams with --json: their names and nothing else, as in the reference system. */
type Printed = StreamList & { toJSON(): readonly string[] };

export const listStreamsCommand = command({
  name: 'list-streams',
  summary: 'List the streams that have images in the targets',
  options: targetOptions,
  run: async ({ options, signal, json, log }): Promise<Printed> => {
    const targets = await targetsOf(options);
    const { listStreams } = await import('../../publisher/list-streams.js');
    const list = await listStreams({ targets, signal });
    if (json) for (const { Target, Error } of list.errors) log.error({ target: Target }, Error ?? '');
    return { ...list, toJSON: () => list.streams };
  },
  show: ({ streams, errors }) =>
    joinLines(
      streams.length === 0 && errors.length === 0 ? 'There are no images' : streams.map(showText),
      showErrors(errors),
    ),
  exitCode: ({ targets, errors }) => {
    if (errors.length === 0) return EXIT_CODES.done;
    return targets.length === 0 ? EXIT_CODES.failed : EXIT_CODES.partlyDone;
  },
});
