import { command } from '../command.js';
import { storeOptions } from '../open-store.js';
import { argument, required } from '../option.js';
import { showCountOf, showSize } from '../show.js';

export const copyCommand = command({
  name: 'copy',
  summary: 'Copy an image to another store or an image server',
  details: `Only objects that are not there travel, and what was interrupted carries on where it was. The image
can be seen there when all of it has arrived. One that is there already, the same, is left as it is.`,
  arguments: { name: argument('the image') },
  options: {
    ...storeOptions,
    to: required('--to <store>', 'a directory, s3://BUCKET/PREFIX, or a server: HOST:PORT or unix:PATH'),
  },
  run: async context => {
    const { copyImage } = await import('./run-copy.js');
    return copyImage(context);
  },
  show: ({ name, to, newObjects, newBytes, seconds }) =>
    `Copied ${name} to ${to} in ${String(seconds)} s: ${showCountOf(newObjects, 'new object')} of ${showSize(newBytes)}`,
});
