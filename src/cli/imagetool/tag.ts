import { ImageUnpackerError } from '../../image/error.js';
import { command } from '../command.js';
import { storeOptions, withStore } from '../open-store.js';
import { argument, keyValues, repeated } from '../option.js';
import { showText } from '../show.js';
import { toRow } from './image-row.js';

export const tagCommand = command({
  name: 'tag',
  summary: 'Change the tags of an image',
  details: 'Tags that are not named stay as they are. All of the change is made, or none of it.',
  arguments: { name: argument('the image') },
  options: {
    ...storeOptions,
    tags: keyValues('--tag <key=value>', 'a tag to set; may be given more than once'),
    remove: repeated('--remove <key>', 'a tag to take away; may be given more than once'),
  },
  run: async ({ options, args, signal }) => {
    const { tags: set, remove } = options;
    if (set.size === 0 && remove.length === 0) {
      throw new ImageUnpackerError('USAGE', 'Say what to change: --tag KEY=VALUE or --remove KEY');
    }
    const { changeImage, withTags } = await import('../../store/change-image.js');
    return withStore(options, signal, async store =>
      toRow(await changeImage(store, args.name, record => withTags(record, { set, remove }))),
    );
  },
  show: ({ name, tags }) =>
    [name, ...Object.entries(tags).map(([key, value]) => `  ${key}=${value}`)].map(showText).join('\n'),
});
