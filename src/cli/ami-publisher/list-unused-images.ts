import type { UnusedImages } from '../../publisher/list-unused-images.js';
import { command } from '../command.js';
import { exitCodeOfReport, showUnused } from './show-usage.js';
import { minAgeOption, usageOf, usageOptions } from './usage-options.js';

export const listUnusedImagesCommand = command({
  name: 'list-unused-images',
  summary: 'List the images that nothing uses, and the machines that keep old ones',
  details: `Where something cannot be looked at, nothing is said of the images of that target. What counts as using an image
is told by 'list-used-images --help'.`,
  options: { ...usageOptions, ...minAgeOption },
  run: async ({ options, signal }): Promise<UnusedImages> => {
    const usage = await usageOf(options, signal);
    const { listUnusedImages } = await import('../../publisher/list-unused-images.js');
    return listUnusedImages(usage);
  },
  show: showUnused,
  exitCode: result => exitCodeOfReport(result, []),
});
