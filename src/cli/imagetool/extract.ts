import { command } from '../command.js';
import { argument } from '../option.js';
import { storeOptions, withStore } from '../open-store.js';
import { showCountOf, showSize, showText } from '../show.js';

export const extractCommand = command({
  name: 'extract',
  summary: 'Make the tree of an image in a directory',
  details: `DIR is made if it is not there; else it must be empty. Owners, devices and attributes are made as
they are in the image, which takes root. When it is interrupted, DIR is left as it was found.`,
  arguments: { name: argument('the image'), dir: argument('the directory') },
  options: storeOptions,
  run: async ({ options, args, signal, progress }) => {
    const { findImage } = await import('../../store/find-image.js');
    const { extractImage } = await import('../../volume/extract.js');
    return withStore(options, signal, async store => {
      const image = await findImage(store, args.name);
      return extractImage({ store, image, directory: args.dir, progress, signal });
    });
  },
  show: ({ name, directory, entries, bytes }) =>
    `${showText(name)} in ${showText(directory)}: ${showCountOf(entries, 'entry', 'entries')}, ${showSize(bytes)}`,
});
