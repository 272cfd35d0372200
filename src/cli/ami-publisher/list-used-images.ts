import type { UsedImages } from '../../publisher/list-used-images.js';
import { command } from '../command.js';
import { exitCodeOfReport, showUsed } from './show-usage.js';
import { usageOf, usageOptions } from './usage-options.js';

export const listUsedImagesCommand = command({
  name: 'list-used-images',
  summary: 'List the images that something uses, with what it is',
  details: `Machines, launch templates, launch configurations and groups of Auto Scaling, and SSM parameters use images, in
their own accounts and in those of the targets that they are shared with. An image that is preferred, or the newest of its
stream, counts as used, and so does one that is shared with whom cannot be looked into.`,
  options: usageOptions,
  run: async ({ options, signal }): Promise<UsedImages> => {
    const usage = await usageOf(options, signal);
    const { listUsedImages } = await import('../../publisher/list-used-images.js');
    return listUsedImages(usage);
  },
  show: showUsed,
  exitCode: result => exitCodeOfReport(result, []),
});
