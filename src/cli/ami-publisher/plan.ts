import { command } from '../command.js';
import { imageNameOf } from './image-name.js';
import { storeOptions, withStore } from '../open-store.js';
import { argument } from '../option.js';
import { exitCodeOfRows } from './outcome.js';
import { showPlan } from './show-plan.js';
import { targetOptions, targetsOf } from './target-options.js';

export const planCommand = command({
  name: 'plan',
  summary: 'Say what publishing an image would do in each target, and change nothing',
  arguments: { stream: argument('the stream of the image'), leaf: argument('the image in it, or @CHANNEL') },
  options: { ...targetOptions, ...storeOptions },
  run: async ({ args, options, signal }) => {
    const targets = await targetsOf(options);
    const { plan } = await import('../../publisher/plan.js');
    return withStore(options, signal, store =>
      plan({ image: imageNameOf(args.stream, args.leaf), store, targets, signal }),
    );
  },
  show: showPlan,
  exitCode: rows => exitCodeOfRows(rows),
});
