import { command } from '../command.js';
import { storeOptions, withStore } from '../open-store.js';
import { argument } from '../option.js';

export const deleteCommand = command({
  name: 'delete',
  summary: 'Delete an image',
  details: "What only this image needed stays in the store until 'imagetool gc' removes it.",
  arguments: { name: argument('the image') },
  options: storeOptions,
  run: async ({ options, args, signal }) =>
    withStore(options, signal, async store => {
      await store.remove(args.name);
      return { name: args.name };
    }),
  show: ({ name }) => `Deleted ${name}`,
});
