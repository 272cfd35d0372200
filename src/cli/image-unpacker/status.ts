import { command } from '../command.js';
import { unpackerOptions, withUnpacker } from '../open-unpacker.js';
import { showText } from '../show.js';
import { showStreams } from './show-streams.js';

export const statusCommand = command({
  name: 'status',
  summary: 'Show how it stands with an agent and its streams',
  options: unpackerOptions,
  run: ({ options, signal }) => withUnpacker(options, signal, unpacker => unpacker.status({ signal })),
  show: ({ version, startedAt, lastUsed, streams }) => {
    const used = lastUsed === null ? 'not used yet' : `last used ${lastUsed}`;
    const agent = showText(`version ${version}, running since ${startedAt}, ${used}`);
    return `${agent}\n${showStreams(streams)}`;
  },
});
