import { refuseServer } from '../../rpc/connect-store.js';
import { command } from '../command.js';
import { parseDuration } from '../../image/duration.js';
import { locationOf, storeOptions } from '../open-store.js';
import { flag, withDefault } from '../option.js';
import { showCount, showCountOf, showSize } from '../show.js';

export const gcCommand = command({
  name: 'gc',
  summary: 'Remove the objects that no image needs',
  details: 'Nothing is removed when part of any image is damaged: what it needs cannot be known then.',
  options: {
    ...storeOptions,
    dryRun: flag('--dry-run', 'remove nothing, only say what would be'),
    keepFor: withDefault(
      '--keep-for <duration>',
      'on S3: what was stored so lately stays, as S3 may still be copying what needs it; 0s: nothing; default: 1d',
      86_400,
      text => (text === '0s' ? 0 : parseDuration(text)),
    ),
  },
  run: async ({ options, signal, progress }) => {
    const { collectAt } = await import('../../store/open.js');
    refuseServer(locationOf(options), 'collect');
    const { dryRun, keepFor } = options;
    return { dryRun, ...(await collectAt(locationOf(options), { dryRun, keepFor, signal, progress })) };
  },
  show: ({ dryRun, images, keptObjects, keptBytes, removedObjects, removedBytes, heldObjects, heldBytes }) =>
    [
      `${dryRun ? 'Would remove' : 'Removed'} ${showCountOf(removedObjects, 'object')} of ${showSize(removedBytes)}`,
      ...(heldObjects > 0
        ? [
            `${showCount(heldObjects)} of ${showSize(heldBytes)} may be in use and stay for now; run this again later`,
          ]
        : []),
      `${showCountOf(images, 'image needs', 'images need')} the other ${showCount(keptObjects)} of ${showSize(keptBytes)}`,
    ].join('\n'),
});
