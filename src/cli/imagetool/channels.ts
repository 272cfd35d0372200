import { command } from '../command.js';
import { storeOptions, withStore } from '../open-store.js';
import { optionalArgument } from '../option.js';
import { showTable, showText } from '../show.js';

export const channelsCommand = command({
  name: 'channels',
  summary: 'List channels and the images that they name',
  arguments: { stream: optionalArgument('only the channels of this stream, not of streams below it') },
  options: storeOptions,
  run: async ({ options, args, signal }) => {
    const { toChannelRow } = await import('./channel-row.js');
    return withStore(options, signal, async store => (await store.channels(args.stream)).map(toChannelRow));
  },
  show: rows =>
    rows.length === 0
      ? 'There are no channels'
      : showTable(
          [{ title: 'CHANNEL' }, { title: 'IMAGE' }, { title: 'MOVED' }],
          rows.map(({ channel, image, movedAt }) => [showText(channel), showText(image ?? '-'), movedAt]),
        ),
});
