import { command } from '../command.js';
import { storeOptions, withStore } from '../open-store.js';
import { flag, optionalArgument } from '../option.js';
import { showCountOf, showText } from '../show.js';

export const expireCommand = command({
  name: 'expire',
  summary: 'Delete the images that have expired',
  details: `An image that a channel names stays. What only the deleted images needed stays in the store until 'imagetool gc'
removes it.`,
  arguments: { stream: optionalArgument('only the images of this stream, not of streams below it') },
  options: { ...storeOptions, dryRun: flag('--dry-run', 'delete nothing, only say what would be') },
  run: async ({ options, args, signal }) => {
    const { expireImages } = await import('../../store/expire.js');
    const { dryRun } = options;
    return withStore(options, signal, async store => {
      const expiry = await expireImages(store, { now: new Date(), stream: args.stream, dryRun, signal });
      return { dryRun, ...expiry };
    });
  },
  show: ({ dryRun, removed, kept }) =>
    [
      ...removed.map(({ name, expiresAt }) => showText(`${name} expired ${expiresAt}`)),
      ...kept.map(({ name, channel }) => showText(`${name} stays: ${channel} names it`)),
      `${dryRun ? 'Would delete' : 'Deleted'} ${showCountOf(removed.length, 'image')}`,
    ].join('\n'),
});
