import { command } from '../command.js';
import { imageNameOf } from './image-name.js';
import { storeOptions, withStore } from '../open-store.js';
import { argument, flag } from '../option.js';
import { exitCodeOfRows } from './outcome.js';
import { ratesOf, ratesOption } from './rates-option.js';
import { showPlan } from './show-plan.js';
import { strategyOptions, withStrategy } from './strategy-options.js';
import { targetOptions, targetsOf } from './target-options.js';
import { unpackerOptions, unpackersOf } from './unpack-options.js';

export const planCommand = command({
  name: 'plan',
  summary: 'Say what publishing an image would do in each target, and change nothing',
  details: `Blocks, times and costs are estimates: what unpacking writes shows only when it is done. With --preflight AWS
is asked as well whether each call that publishing makes is allowed, by DryRun where there is one, and whether there is
room for one more image; a target where it would fail is refused.`,
  arguments: { stream: argument('the stream of the image'), leaf: argument('the image in it, or @CHANNEL') },
  options: {
    ...targetOptions,
    ...storeOptions,
    ...unpackerOptions,
    ...strategyOptions,
    preflight: flag('--preflight', 'also look whether permissions and quotas suffice'),
    ...ratesOption,
  },
  run: async ({ args, options, signal }) => {
    const targets = withStrategy(await targetsOf(options), options);
    const rates = await ratesOf(options.rates);
    const { preflight } = options;
    const { plan } = await import('../../publisher/plan.js');
    return withStore(options, signal, store =>
      plan({
        image: imageNameOf(args.stream, args.leaf),
        store,
        targets,
        unpackers: unpackersOf(options),
        rates,
        preflight,
        signal,
      }),
    );
  },
  show: showPlan,
  exitCode: rows => exitCodeOfRows(rows),
});
