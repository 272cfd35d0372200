import { ImageUnpackerError } from '../../image/error.js';
import { command } from '../command.js';
import { storeOptions, withStore } from '../open-store.js';
import { argument, flag, optional, optionalArgument } from '../option.js';
import { showText } from '../show.js';

export const setChannelCommand = command({
  name: 'set-channel',
  summary: 'Move a channel to an image of its stream',
  details: `STREAM@CHANNEL can stand wherever an image is named that is read. Whoever reads sees what the channel named
before or what it names now. What it has named stays in its history.

With --from the channel is moved only if it names that image, so that of two who move it at once one is told.`,
  arguments: {
    channel: argument('the channel: STREAM@CHANNEL, such as base/debian-12@stable'),
    image: optionalArgument(
      'the image that it names from now on: STREAM/LEAF, or another channel of the stream',
    ),
  },
  options: {
    ...storeOptions,
    from: optional('--from <image>', 'what it must name until now: an image, or none'),
    remove: flag('--remove', 'take the channel away'),
  },
  run: async ({ options, args, signal }) => {
    if ((args.image === undefined) !== options.remove) {
      throw new ImageUnpackerError('USAGE', 'Say what the channel names from now on: an image, or --remove');
    }
    const { parseChannelName } = await import('../../image/name.js');
    const { findImage } = await import('../../store/find-image.js');
    const { moveChannel } = await import('../../store/move-channel.js');
    const { toChannelRow } = await import('./channel-row.js');
    const { stream, channel: name } = parseChannelName(args.channel);
    const from = options.from === 'none' ? null : options.from;
    return withStore(options, signal, async store => {
      const image = args.image === undefined ? null : (await findImage(store, args.image)).name;
      return toChannelRow(await moveChannel(store, { stream, name }, image, { movedAt: new Date(), from }));
    });
  },
  show: ({ channel, image }) =>
    showText(image === null ? `${channel} was taken away` : `${channel} names ${image}`),
});
