import type { AccountAccess } from '../cloud/aws/access.js';
import { ImageUnpackerError } from '../image/error.js';
import type { AwsTarget, Target } from './target.js';
import { ANY, awsTarget, parsePatterns, patternTarget } from './target-syntax.js';

/** Where accounts and their regions are found. */
export interface Accounts {
  accounts(signal?: AbortSignal): Promise<readonly { name: string; access: AccountAccess }[]>;
  regions(access: AccountAccess, signal?: AbortSignal): Promise<readonly string[]>;
}

/** The accounts that the AWS SDK has profiles for, else that of the credentials at hand. */
export async function findAccounts(): Promise<Accounts> {
  const { AccountDirectory } = await import('../cloud/aws/account-directory.js');
  return new AccountDirectory();
}

/**
 * The targets that a text names, `*` and nothing standing for every account that there are credentials for by name,
 * and for every region that is enabled in it. An account whose regions cannot be told is one target, with what was in
 * the way. Throws `USAGE`, and what keeps the accounts from being found.
 */
export async function expandTargetSyntax(
  text: string,
  accounts: Accounts,
  signal?: AbortSignal,
): Promise<Target[]> {
  const patterns = parsePatterns(text);
  if (patterns.length === 0) throw new ImageUnpackerError('USAGE', 'No targets are given');
  const targets: Target[] = [];
  for (const pattern of patterns) {
    const { account, region } = pattern;
    if (account !== ANY) targets.push(patternTarget(pattern));
    else
      for (const { name, access } of await accounts.accounts(signal))
        targets.push({ ...awsTarget(name, region), access });
  }
  if (targets.length === 0) {
    const remedy = 'name the account, or set up a profile of AWS for it';
    throw new ImageUnpackerError('USAGE', `There are no accounts that * could stand for; ${remedy}`);
  }
  return expandRegions(targets, accounts, signal);
}

/** The same targets, those of every region of an account being one for each, and none there twice. */
export async function expandRegions(
  targets: readonly Target[],
  accounts: Accounts,
  signal?: AbortSignal,
): Promise<Target[]> {
  const expanded = await Promise.all(
    targets.map(async target =>
      target.kind === 'aws' && target.region === ANY ? regionsOf(target, accounts, signal) : [target],
    ),
  );
  // Who is named by itself is meant as it is named there.
  const named = targets.filter(({ region }) => region !== ANY);
  return [...new Map([...expanded.flat(), ...named].map(target => [target.name, target])).values()];
}

async function regionsOf(
  target: AwsTarget,
  accounts: Accounts,
  signal: AbortSignal | undefined,
): Promise<AwsTarget[]> {
  try {
    const regions = await accounts.regions(target.access, signal);
    return regions.map(region => ({ ...target, name: `${target.account}/${region}`, region }));
  } catch (reason) {
    if (signal?.aborted === true) throw reason;
    const { message } = ImageUnpackerError.from(reason, `The regions of ${target.account} cannot be told`);
    return [{ ...target, fault: message }];
  }
}
