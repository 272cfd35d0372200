import { ImageUnpackerError } from '../../image/error.js';
import type { PlanRow } from '../../publisher/plan.js';
import type { ResultRow } from '../../publisher/row.js';
import type { StrategyName, Target } from '../../publisher/target.js';
import { command } from '../command.js';
import { imageNameOf } from './image-name.js';
import { parseDuration } from '../../image/duration.js';
import { withStore } from '../open-store.js';
import { argument, flag, keyValues, oneOf, optional } from '../option.js';
import { follow } from './follow.js';
import { exitCodeOfRows } from './outcome.js';
import { isPlan, showPlan } from './show-plan.js';
import { showResults } from './show-results.js';
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
    strategy: optional(
      '--strategy <strategy>',
      'direct or snapshot for accounts, local for directories; default: as the targets say',
      oneOf('direct', 'snapshot', 'local'),
    ),
    scrub: flag(
      '--scrub',
      'with the strategy snapshot: leave nothing of earlier images in free space of volumes, and so in snapshots',
    ),
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
    const targets = scrubbed(withStrategy(await targetsOf(options), options.strategy), options.scrub);
    const image = imageNameOf(args.stream, args.leaf);
    return withStore(options, signal, async store => {
      if (options.dryRun) {
        const { plan } = await import('../../publisher/plan.js');
        return plan({ image, store, targets, unpackers: unpackersOf(options), signal });
      }
      const { publish } = await import('../../publisher/publish.js');
      const follower = follow(display, options.events, () => context.log);
      const { expiresIn, stateDir: stateDirectory } = options;
      const tags = Object.fromEntries(options.tags);
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

/** The targets with the strategy that is asked for, where it is one for them. Throws `USAGE` where it is for none. */
function withStrategy(targets: readonly Target[], strategy: StrategyName | undefined): Target[] {
  if (strategy === undefined) return [...targets];
  const isFor = ({ kind }: Target): boolean => (kind === 'local') === (strategy === 'local');
  const [first] = targets;
  if (!targets.some(isFor)) {
    const message = `Option '--strategy <strategy>': ${strategy} is not for ${first?.name ?? 'any target'}, nor for the others`;
    throw new ImageUnpackerError('USAGE', message);
  }
  return targets.map(target =>
    target.kind === 'aws' && strategy !== 'local' ? { ...target, strategy } : target,
  );
}

/** The targets, scrubbed where that is asked for: what is published block by block has nothing but what is in use anyway. */
function scrubbed(targets: readonly Target[], scrub: boolean): Target[] {
  return targets.map(target => (target.kind === 'aws' && scrub ? { ...target, scrub } : target));
}
