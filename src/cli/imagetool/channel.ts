import { command } from '../command.js';
import { storeOptions, withStore } from '../open-store.js';
import { argument } from '../option.js';
import { showTable, showText } from '../show.js';

export const channelCommand = command({
  name: 'channel',
  summary: 'Show what a channel names, and has named',
  arguments: { channel: argument('the channel: STREAM@CHANNEL') },
  options: storeOptions,
  run: async ({ options, args, signal }) => {
    const { parseChannelName } = await import('../../image/name.js');
    const { channelUnknown } = await import('../../store/image-error.js');
    const { toChannelRow } = await import('./channel-row.js');
    const { stream, channel: name } = parseChannelName(args.channel);
    return withStore(options, signal, async store => {
      const channel = await store.channel(stream, name);
      if (channel === undefined) throw await channelUnknown(store, stream, name);
      return { ...toChannelRow(channel), history: channel.moves };
    });
  },
  show: ({ history }) =>
    showTable(
      [{ title: 'MOVED' }, { title: 'IMAGE' }, { title: 'DIGEST' }],
      history.map(({ image, digest, movedAt }) => [
        movedAt,
        showText(image ?? 'taken away'),
        digest?.slice(0, 12) ?? '',
      ]),
    ),
});
