import { ImageUnpackerError } from '../../image/error.js';
import { command } from '../command.js';
import { parseDuration } from '../../image/duration.js';
import { storeOptions, withStore } from '../open-store.js';
import { argument, flag, optional } from '../option.js';
import { showText } from '../show.js';
import { toRow } from './image-row.js';

export const setExpiryCommand = command({
  name: 'set-expiry',
  summary: 'Make an image last longer',
  details: `Others may rely on what an image's expiry says: it is made sooner with --shorten only, which an image server
allows to administrators.`,
  arguments: { name: argument('the image') },
  options: {
    ...storeOptions,
    expiresIn: optional(
      '--expires-in <duration>',
      'when it expires, from now on, such as 30d',
      parseDuration,
    ),
    never: flag('--never', 'it never expires'),
    shorten: flag('--shorten', 'let it expire sooner than it would have'),
  },
  run: async ({ options, args, signal }) => {
    const { expiresIn, never, shorten } = options;
    if ((expiresIn === undefined) !== never) {
      throw new ImageUnpackerError('USAGE', 'Say when the image expires: --expires-in DURATION or --never');
    }
    const { changeImage, withExpiry } = await import('../../store/change-image.js');
    const expiresAt = expiresIn === undefined ? null : new Date(Date.now() + expiresIn * 1000).toISOString();
    return withStore(options, signal, async store =>
      toRow(await changeImage(store, args.name, record => withExpiry(record, expiresAt, shorten))),
    );
  },
  show: ({ name, expiresAt }) => showText(`${name} expires ${expiresAt ?? 'never'}`),
});
