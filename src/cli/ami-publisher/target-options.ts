import type { AccountAccess } from '../../cloud/aws/access.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { Target } from '../../publisher/target.js';
import type { OptionValues } from '../command.js';
import { optional, required } from '../option.js';

const TARGETS = 'a file of targets, or account,region;account,region (with *) or local:DIR';

const selection = {
  only: optional('--only <targets>', 'only these of them: account,region;account,region, with *'),
  skip: optional('--skip <targets>', 'not these of them'),
  group: optional('--group <group>', 'only those of this group, such as testing'),
};

/** The options that say which targets are looked at. */
export const targetOptions = { targets: required('--targets <targets>', TARGETS), ...selection };

/** The options of commands that take results, which mostly say the targets themselves. */
export const resultOptions = { targets: optional('--targets <targets>', `${TARGETS}: those of the results`) };

/** The targets that the options name. Throws `USAGE`, and `CONFIGURATION` with the line of what is wrong. */
export async function targetsOf({
  targets,
  only,
  skip,
  group,
}: OptionValues<typeof targetOptions>): Promise<Target[]> {
  const syntax = await import('../../publisher/target-syntax.js');
  const { readTargets } = await import('../../publisher/read-targets.js');
  const isSyntax = syntax.isTargetSyntax(targets);
  const given = isSyntax ? undefined : await readTargets(targets);
  const all = await expanded(given ?? targets);
  return syntax.selectTargets(group === undefined ? all : syntax.selectGroup(all, group), only, skip);
}

/** The targets of a file or a text, with those that `*` stands for, for which AWS is asked only if need be. */
async function expanded(given: string | readonly Target[]): Promise<Target[]> {
  const { expandRegions, expandTargetSyntax, findAccounts } =
    await import('../../publisher/expand-targets.js');
  let directory: ReturnType<typeof findAccounts> | undefined;
  const accounts = {
    accounts: async () => (await (directory ??= findAccounts())).accounts(),
    regions: async (access: AccountAccess) => (await (directory ??= findAccounts())).regions(access),
  };
  return typeof given === 'string' ? expandTargetSyntax(given, accounts) : expandRegions(given, accounts);
}

/** What a command works with that is given results in which there must be images. Throws `IMAGE_UNKNOWN` where there are none. */
export async function imagesOf(files: readonly string[], options: OptionValues<typeof resultOptions>) {
  const given = await resultsOf(files, options);
  if (given.results.length > 0) return given;
  const message = `No image is named in ${files.join(', ')}: nothing was published there`;
  throw new ImageUnpackerError('IMAGE_UNKNOWN', message, { path: files[0]! });
}

/** What a command that is given results works with. */
export async function resultsOf(files: readonly string[], { targets }: OptionValues<typeof resultOptions>) {
  const { readResults } = await import('../../publisher/row.js');
  const results = await readResults(files);
  const known =
    targets === undefined
      ? []
      : await targetsOf({ targets, only: undefined, skip: undefined, group: undefined });
  return { results, targets: known };
}
