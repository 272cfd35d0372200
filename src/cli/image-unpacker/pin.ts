import { command } from '../command.js';
import { argument, required } from '../option.js';
import { unpackerOptions, withUnpacker } from '../open-unpacker.js';
import { showSize, showText } from '../show.js';

export const pinCommand = command({
  name: 'pin',
  summary: 'Let a block device be the volume of a stream',
  details: `The device is known from then on by its serial number if it has one, else by its name in
/dev/disk/by-id, else by the path that is given here. Nothing is written to it: the first unpack
formats it if it is blank.`,
  arguments: { stream: argument('the stream, such as base/debian-12') },
  options: {
    device: required('--device <device>', 'its path, serial number, or name in /dev/disk/by-id'),
    ...unpackerOptions,
  },
  run: ({ args, options, signal }) =>
    withUnpacker(options, signal, unpacker => unpacker.pin(args.stream, options.device, { signal })),
  show: ({ stream, device, size, state }) =>
    showText(`${stream} is pinned to ${device} (${showSize(size ?? 0)}, ${state})`),
});
