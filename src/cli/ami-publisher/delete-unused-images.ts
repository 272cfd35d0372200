import { ImageUnpackerError } from '../../image/error.js';
import type { UnusedImages } from '../../publisher/list-unused-images.js';
import { command } from '../command.js';
import { flag } from '../option.js';
import { joinLines } from './outcome.js';
import { exitCodeOfReport, showUnused } from './show-usage.js';
import { minAgeOption, usageOf, usageOptions } from './usage-options.js';

export const deleteUnusedImagesCommand = command({
  name: 'delete-unused-images',
  summary: 'Report the images that nothing uses; with --apply, delete them with their disks',
  details: `Without --apply it does what 'list-unused-images' does. What uses images is looked at once, before the first of
them is deleted. Where something cannot be looked at, nothing is deleted in that target.`,
  options: {
    ...usageOptions,
    ...minAgeOption,
    apply: flag('--apply', 'delete them'),
    dryRun: flag('--dry-run', 'only say what would be deleted, which is so without --apply too'),
  },
  run: async ({ options, signal }): Promise<UnusedImages> => {
    const { apply, dryRun } = options;
    if (apply && dryRun) {
      throw new ImageUnpackerError('USAGE', "Options '--apply' and '--dry-run' exclude each other");
    }
    const usage = await usageOf(options, signal);
    const { deleteUnusedImages } = await import('../../publisher/delete-unused-images.js');
    return deleteUnusedImages({ ...usage, apply });
  },
  show: (result, { apply }) => {
    const isReport = !apply && result.UnusedImages.length > 0;
    return joinLines(showUnused(result), isReport ? 'Nothing is deleted without --apply' : '');
  },
  exitCode: result => exitCodeOfReport(result, result.UnusedImages),
});
