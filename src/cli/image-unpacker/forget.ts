import { command } from '../command.js';
import { argument, flag } from '../option.js';
import { unpackerOptions, withUnpacker } from '../open-unpacker.js';
import { showText } from '../show.js';

export const forgetCommand = command({
  name: 'forget',
  summary: 'Forget a stream; its volume stays as it is',
  arguments: { stream: argument('the stream') },
  options: {
    removeVolume: flag('--remove-volume', 'remove the image file of a volume that the agent made itself'),
    ...unpackerOptions,
  },
  run: async ({ args, options, signal }) => {
    const { stream } = args;
    const { removeVolume } = options;
    await withUnpacker(options, signal, unpacker => unpacker.forget(stream, removeVolume, { signal }));
    return { stream };
  },
  show: ({ stream }) => showText(`${stream} is forgotten`),
});
