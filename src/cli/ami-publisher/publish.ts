import type { PlanRow } from '../../publisher/plan.js';
import type { ResultRow } from '../../publisher/row.js';
import { command } from '../command.js';
import { imageNameOf } from './image-name.js';
import { parseDuration } from '../../image/duration.js';
import { withStore } from '../open-store.js';
import { argument, flag, keyValues, optional } from '../option.js';
import { follow } from './follow.js';
import { exitCodeOfRows } from './outcome.js';
import { isPlan, showPlan } from './show-plan.js';
import { showResults } from './show-results.js';
import { strategyOptions, withStrategy } from './strategy-options.js';
import { targetOptions, targetsOf } from './target-options.js';
import { unpackerOf, unpackersOf, unpackOptions } from './unpack-options.js';

export const publishCommand = command({
  name: 'publish',
  summary: 'Publish an image to each target',
  details: `The image is unpacked once and its disk captured; each target gets the blocks that it has not. A target
that has the image already is left as it is. A target that fails leaves the others published.
After an interruption 'resume' goes on with the run, and so does publishing again.`,
  arguments: { stream: argument('the stream of the image'), leaf: argument('the image in it, or @CHANNEL') },
  options: {
    ...targetOptions,
    ...unpackOptions,
    ...strategyOptions,
    expiresIn: optional(
      '--expires-in <duration>',
      'when the images expire, such as 30d; default: never',
      parseDuration,
    ),
    tags: keyValues('--tag <key=value>', 'a tag of the images; may be given more than once'),
    dryRun: flag('--dry-run', 'only say what would be done'),
  },
  run: async (context): Promise<PlanRow[] | ResultRow[]> => {
    const { args, options, signal, display } = context;
    const targets = withStrategy(await targetsOf(options), options);
    const image = imageNameOf(args.stream, args.leaf);
    const tags = Object.fromEntries(options.tags);
    const { checkTags } = await import('../../publisher/check-tags.js');
    checkTags(tags);
    return withStore(options, signal, async store => {
      if (options.dryRun) {
        const { plan } = await import('../../publisher/plan.js');
        return plan({ image, store, targets, unpackers: unpackersOf(options), signal });
      }
      const { publish } = await import('../../publisher/publish.js');
      const follower = follow(display, options.events, () => context.log);
      const { expiresIn, stateDir: stateDirectory } = options;
      const unpacker = unpackerOf(options, context);
      const { onEvent } = follower;
      try {
        return await publish({
          image,
          targets,
          store,
          unpacker,
          unpackers: unpackersOf(options),
          stateDirectory,
          tags,
          expiresIn,
          signal,
          onEvent,
        });
      } finally {
        follower.end();
      }
    });
  },
  show: rows => (isPlan(rows) ? showPlan(rows) : showResults(rows)),
  exitCode: rows => exitCodeOfRows(rows),
});
