import { resolve } from 'node:path';
import { USUAL_SETTINGS } from '../cloud/aws/settings.js';
import { ImageUnpackerError } from '../image/error.js';
import { nearest } from '../image/nearest.js';
import type { AwsTarget, Target } from './target.js';
import { directoryOf, LOCAL, localTarget } from './target.js';

/*
 * Targets on a command line, as the reference system writes them:
 *
 *   targets = target *( ";" target )
 *   target  = account [ "," region ] | "local:" directory
 *   account = name | "*" | ""         "*" and nothing are every account; "local" is that of directories
 *   region  = name | "*" | ""         the same; the region of a directory is its path
 */

/** Which targets are meant. */
export interface Pattern {
  readonly text: string;
  readonly account: string;
  readonly region: string;
}

/** Stands for every account, and for every region. */
export const ANY = '*';

/** Whether a text is written in that way, rather than being the name of a file. */
export function isTargetSyntax(text: string): boolean {
  return /[,;*]/.test(text) || text.startsWith(LOCAL);
}

/** What the parts of a text say. Throws `USAGE`. */
export function parsePatterns(text: string): Pattern[] {
  return text
    .split(';')
    .map(each => each.trim())
    .filter(each => each !== '' && each !== ',')
    .map(each => {
      const directory = directoryOf(each);
      if (directory !== undefined) return { text: each, account: 'local', region: directory };
      if (each === LOCAL) return { text: each, account: 'local', region: ANY };
      const [account = '', region = '', ...rest] = each.split(',').map(part => part.trim());
      if (rest.length === 0) return { text: each, account: account || ANY, region: region || ANY };
      throw new ImageUnpackerError('USAGE', `"${each}" is no target; write ACCOUNT,REGION or local:DIR`);
    });
}

/** The targets that a text names one by one, without a file and without `*`. Throws `USAGE`. */
export function parseTargetSyntax(text: string): Target[] {
  const patterns = parsePatterns(text);
  if (patterns.length === 0) throw new ImageUnpackerError('USAGE', 'No targets are given');
  return patterns.map(pattern => {
    const target = patternTarget(pattern);
    if (target.account !== ANY && target.region !== ANY) return target;
    const remedy = 'write ACCOUNT,REGION';
    const message = `"${pattern.text}" does not say which account and region; ${remedy}`;
    throw new ImageUnpackerError('USAGE', message);
  });
}

/** The target that a pattern names whose account is one. Throws `USAGE` when no directory is said. */
export function patternTarget(pattern: Pattern): Target {
  const { text: given, account, region } = pattern;
  if (account !== 'local') return awsTarget(account, region);
  if (region !== ANY) return localTarget(region);
  throw new ImageUnpackerError('USAGE', `"${given}" does not say which directory; write local:DIR`);
}

/** An account and region with the usual settings. */
export function awsTarget(account: string, region: string): AwsTarget {
  return {
    kind: 'aws',
    name: `${account}/${region}`,
    account,
    region,
    strategy: 'direct',
    // Of an account that is named, a profile of the SDK's files has the credentials.
    access: /^\d{12}$/.test(account) ? { accountId: account } : { accountId: undefined, profile: account },
    settings: USUAL_SETTINGS,
  };
}

/** Those of the targets that are of a group. Throws `USAGE` when there are none, naming the groups that there are. */
export function selectGroup(targets: readonly Target[], group: string): Target[] {
  const groupOf = (target: Target): string | undefined => (target.kind === 'aws' ? target.group : undefined);
  const found = targets.filter(target => groupOf(target) === group);
  if (found.length > 0) return found;
  const groups = [...new Set(targets.map(groupOf))].filter(each => each !== undefined);
  const meant = nearest(group, groups);
  const known = groups.length === 0 ? 'no target has one' : `the groups are ${groups.join(', ')}`;
  const hint = meant === undefined ? known : `did you mean ${meant}?`;
  throw new ImageUnpackerError('USAGE', `No target is of the group ${group}; ${hint}`);
}

/**
 * Those of the targets that `only` names, if it is given, without those that `skip` names. Throws `USAGE` when
 * a part of them is none of the targets, or nothing is left.
 */
export function selectTargets(targets: readonly Target[], only?: string, skip?: string): Target[] {
  const wanted = only === undefined ? targets : matching(targets, only, '--only');
  const unwanted = new Set(skip === undefined ? [] : matching(targets, skip, '--skip'));
  const left = wanted.filter(target => !unwanted.has(target));
  if (left.length > 0) return left;
  throw new ImageUnpackerError('USAGE', 'No target is left: --only and --skip exclude all of them');
}

function matching(targets: readonly Target[], text: string, option: string): Target[] {
  const patterns = parsePatterns(text);
  for (const pattern of patterns) {
    if (targets.some(target => matches(target, pattern))) continue;
    const names = targets.map(({ account, region }) => `${account},${region}`);
    const meant = nearest(pattern.text, names);
    const hint = meant === undefined ? `the targets are ${names.join('; ')}` : `did you mean "${meant}"?`;
    throw new ImageUnpackerError(
      'USAGE',
      `Option '${option}': "${pattern.text}" is none of the targets; ${hint}`,
    );
  }
  return targets.filter(target => patterns.some(pattern => matches(target, pattern)));
}

function matches(target: Target, { account, region }: Pattern): boolean {
  const accountId = target.kind === 'aws' ? target.access.accountId : undefined;
  const fits = [ANY, target.account, accountId].includes(account);
  if (!fits || region === ANY) return fits;
  return target.kind === 'local' ? resolve(region) === target.directory : region === target.region;
}
