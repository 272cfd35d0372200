import { command } from '../command.js';
import { unpackerOptions, withUnpacker } from '../open-unpacker.js';
import { showStreams } from './show-streams.js';

export const streamsCommand = command({
  name: 'streams',
  summary: 'List the streams of an agent and what is on their volumes',
  options: unpackerOptions,
  run: ({ options, signal }) =>
    withUnpacker(options, signal, async unpacker => (await unpacker.status({ signal })).streams),
  show: showStreams,
});
