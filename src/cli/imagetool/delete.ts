import { command } from '../command.js';
import { storeOptions, withStore } from '../open-store.js';
import { argument, flag } from '../option.js';

export const deleteCommand = command({
  name: 'delete',
  summary: 'Delete an image',
  details: `What only this image needed stays in the store until 'imagetool gc' removes it. Another content does not get its
name later, unless 'imagetool build' is told so.`,
  arguments: { name: argument('the image') },
  options: { ...storeOptions, force: flag('--force', 'delete it though a channel names it') },
  run: async ({ options, args, signal }) =>
    withStore(options, signal, async store => {
      await store.remove(args.name, { force: options.force });
      return { name: args.name };
    }),
  show: ({ name }) => `Deleted ${name}`,
});
