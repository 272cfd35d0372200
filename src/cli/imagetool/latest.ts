import { command } from '../command.js';
import { storeOptions, withStore } from '../open-store.js';
import { argument } from '../option.js';
import { showText } from '../show.js';
import { toRow } from './image-row.js';

export const latestCommand = command({
  name: 'latest',
  summary: 'Print the newest image of a stream that has not expired',
  arguments: { stream: argument('the stream') },
  options: storeOptions,
  run: async ({ options, args, signal }) => {
    const { latestOf } = await import('../../store/latest.js');
    return withStore(options, signal, async store => toRow(await latestOf(store, args.stream, new Date())));
  },
  show: ({ name }) => showText(name),
});
