import { command } from '../command.js';
import { locationOf, storeOptions } from '../open-store.js';
import { flag } from '../option.js';
import { showCount, showSize } from '../show.js';

export const gcCommand = command({
  name: 'gc',
  summary: 'Remove the objects that no image needs',
  details: 'Nothing is removed when part of any image is damaged: what it needs cannot be known then.',
  options: { ...storeOptions, dryRun: flag('--dry-run', 'remove nothing, only say what would be') },
  run: async ({ options, signal, progress }) => {
    const { collect } = await import('../../store/local/collect.js');
    const { dryRun } = options;
    return { dryRun, ...(await collect(locationOf(options), { dryRun, signal, progress })) };
  },
  show: ({ dryRun, images, keptObjects, keptBytes, removedObjects, removedBytes }) =>
    [
      `${dryRun ? 'Would remove' : 'Removed'} ${showCount(removedObjects)} objects of ${showSize(removedBytes)}`,
      `${showCount(images)} images need the other ${showCount(keptObjects)} of ${showSize(keptBytes)}`,
    ].join('\n'),
});
