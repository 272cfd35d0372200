import type { UsageOptions } from '../../publisher/find-usage.js';
import { parseDuration } from '../../image/duration.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { OptionValues } from '../command.js';
import { flag, keyValues, optional, repeated } from '../option.js';
import { targetOptions, targetsOf } from './target-options.js';

function parseCount(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new ImageUnpackerError('USAGE', `"${text}" is no number of images`);
}

/** The options of commands that look for what uses images. */
export const usageOptions = {
  ...targetOptions,
  searchTags: keyValues('--search-tag <key=value>', 'only images with this tag; may be given more than once'),
  excludeTags: keyValues(
    '--exclude-search-tag <key=value>',
    'not images with this tag; may be given more than once',
  ),
  keep: optional(
    '--keep <count>',
    'how many of the newest images of each stream stay in any case; default: 1',
    parseCount,
  ),
  disregard: repeated(
    '--disregard <account>',
    'an account, or the ARN of an organisation or unit, whose use of what is shared with it does not count',
  ),
  allVersions: flag(
    '--all-template-versions',
    'all versions of launch templates count, not only the latest, the default and those that groups name',
  ),
};

/** An age, which may be none. */
function parseAge(text: string): number {
  return /^0[smhd]?$/.test(text) ? 0 : parseDuration(text);
}

/** How long images are left alone. */
export const minAgeOption = {
  minAge: optional(
    '--min-image-age <duration>',
    'only images that are as old as that, such as 30d or 0; default: 24h',
    parseAge,
  ),
};

/** What the options ask for. */
export async function usageOf(
  options: OptionValues<typeof usageOptions> & { readonly minAge?: number | undefined },
  signal: AbortSignal,
): Promise<UsageOptions> {
  const { searchTags, excludeTags, keep, disregard, allVersions, minAge } = options;
  return {
    targets: await targetsOf(options),
    tags: Object.fromEntries(searchTags),
    excludeTags: Object.fromEntries(excludeTags),
    keep,
    disregarded: disregard,
    allVersions,
    minAge,
    signal,
  };
}
