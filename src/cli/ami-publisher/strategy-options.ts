import { ImageUnpackerError } from '../../image/error.js';
import type { Target } from '../../publisher/target.js';
import type { OptionValues } from '../command.js';
import { flag, oneOf, optional } from '../option.js';

/** The options that say how targets are published to, in place of what they say themselves. */
export const strategyOptions = {
  strategy: optional(
    '--strategy <strategy>',
    'direct or snapshot for accounts, local for directories; default: as the targets say',
    oneOf('direct', 'snapshot', 'local'),
  ),
  scrub: flag(
    '--scrub',
    'with the strategy snapshot: leave nothing of earlier images in free space of volumes, and so in snapshots',
  ),
};

/**
 * The targets with the strategy that is asked for, where it is one for them, and scrubbed where that is: what is published
 * block by block has nothing but what is in use anyway. Throws `USAGE` where the strategy is for none.
 */
export function withStrategy(
  targets: readonly Target[],
  { strategy, scrub }: OptionValues<typeof strategyOptions>,
): Target[] {
  const isFor = ({ kind }: Target): boolean => (kind === 'local') === (strategy === 'local');
  if (strategy !== undefined && !targets.some(isFor)) {
    const message = `Option '--strategy <strategy>': ${strategy} is not for ${targets[0]?.name ?? 'any target'}, nor for the others`;
    throw new ImageUnpackerError('USAGE', message);
  }
  return targets.map(target =>
    target.kind === 'local'
      ? target
      : {
          ...target,
          ...(strategy === undefined || strategy === 'local' ? {} : { strategy }),
          ...(scrub ? { scrub } : {}),
        },
  );
}
