import type { ImageSharing, ImageUse, UseOptions } from '../cloud.js';
import { isMissing } from './fault.js';
import { pages } from './find.js';
import { instanceUses } from './instance-uses.js';
import { readParameters } from './parameters.js';
import type { AwsSession, CallOptions } from './session.js';
import { templateUses } from './template-uses.js';

/** Parameters on a page (DescribeParameters). */
const PARAMETER_PAGE = 50;
const IMAGE_ID = /\bami-(?:[0-9a-f]{17}|[0-9a-f]{8})\b/g;

/**
 * What uses these images in an account and region: machines, launch templates, groups and configurations of Auto Scaling,
 * SSM parameters. Each image may be another account's. Throws when any of them cannot be looked at.
 */
export async function findUses(
  session: AwsSession,
  imageIds: readonly string[],
  { signal, allVersions }: UseOptions,
): Promise<ImageUse[]> {
  // Without ids the filters of AWS would mean every machine.
  if (imageIds.length === 0) return [];
  const uses = await Promise.all([
    instanceUses(session, imageIds, { signal }),
    templateUses(session, imageIds, { signal, allVersions }),
    parameterUses(session, imageIds, { signal }),
  ]);
  return uses.flat();
}

/** The parameters that name these images, alone or among other text. What is encrypted is not read. */
async function parameterUses(
  session: AwsSession,
  imageIds: readonly string[],
  options: CallOptions,
): Promise<ImageUse[]> {
  const wanted = new Set(imageIds);
  const ParameterFilters = [{ Key: 'Type', Option: 'Equals', Values: ['String', 'StringList'] }];
  const names = await pages(async NextToken => {
    const input = { ParameterFilters, MaxResults: PARAMETER_PAGE, NextToken };
    const answer = await session.call('DescribeParameters', input, options);
    return { items: (answer.Parameters ?? []).map(({ Name = '' }) => Name), next: answer.NextToken };
  });
  const uses: ImageUse[] = [];
  for (const [name, value] of await readParameters(session, names, options)) {
    for (const imageId of new Set(value.match(IMAGE_ID))) {
      if (wanted.has(imageId)) uses.push({ imageId, kind: 'parameter', id: name });
    }
  }
  return uses;
}

/** Who may start machines of these images, where that is anybody else. */
export async function findSharing(
  session: AwsSession,
  imageIds: readonly string[],
  options: CallOptions,
): Promise<ImageSharing[]> {
  const sharings = await Promise.all(imageIds.map(id => sharingOf(session, id, options)));
  return sharings.filter(({ accounts, others }) => accounts.length + others.length > 0);
}

async function sharingOf(session: AwsSession, imageId: string, options: CallOptions): Promise<ImageSharing> {
  const input = { ImageId: imageId, Attribute: 'launchPermission' as const };
  try {
    const { LaunchPermissions = [] } = await session.call('DescribeImageAttribute', input, options);
    const accounts = LaunchPermissions.flatMap(({ UserId }) => UserId ?? []);
    const others = LaunchPermissions.flatMap(({ Group, OrganizationArn, OrganizationalUnitArn }) => {
      const other = OrganizationArn ?? OrganizationalUnitArn;
      return Group === 'all' ? ['everybody'] : (other ?? []);
    });
    return { imageId, accounts: accounts.filter(account => account !== session.place?.account), others };
  } catch (reason) {
    // It went away between listing and asking.
    if (isMissing(reason)) return { imageId, accounts: [], others: [] };
    throw reason;
  }
}
