import type { LaunchTemplateVersion } from '@aws-sdk/client-ec2';
import type { ImageUse } from '../cloud.js';
import type { AutoScalingGroup, TemplateSpecification } from './auto-scaling.js';
import { isMissing } from './fault.js';
import { pages } from './find.js';
import { readParameters } from './parameters.js';
import type { AwsSession, CallOptions } from './session.js';

/*
 * Launch templates, launch configurations and the groups that start machines by them. Of a template those versions count
 * that somebody gets without naming a number (the latest, the default), and those that a group names; or all of them.
 * An image is named by its id, or by a parameter: `resolve:ssm:NAME`, `resolve:ssm:NAME:VERSION`.
 */

const PAGE = 200;
/** Groups and configurations on a page (DescribeAutoScalingGroups). */
const GROUP_PAGE = 100;
const RESOLVE = /^\{?\{?resolve:ssm:([^}]+)\}?\}?$/;

/** How launch templates are looked at. */
interface TemplateOptions extends CallOptions {
  readonly allVersions?: boolean | undefined;
}

/** What starts machines of these images by itself, or when it is asked. */
export async function templateUses(
  session: AwsSession,
  imageIds: readonly string[],
  { allVersions = false, ...options }: TemplateOptions,
): Promise<ImageUse[]> {
  const wanted = new Set(imageIds);
  const groups = await findGroups(session, options);
  const known = await findVersions(session, allVersions, options);
  const named = await findNamed(session, groups, known, options);
  const versions = [...known, ...named];
  const imageOf = await resolver(session, versions, groups, options);
  const uses = [
    ...versions.map(version => templateUse(version, imageOf)),
    ...groups.flatMap(group => groupUses(group, versions, imageOf)),
    ...(await configurationUses(session, options)),
  ];
  return uses.filter(({ imageId }) => wanted.has(imageId));
}

type ImageOf = (text: string | undefined) => string;

function templateUse(version: LaunchTemplateVersion, imageOf: ImageOf): ImageUse {
  return {
    imageId: imageOf(version.LaunchTemplateData?.ImageId),
    kind: 'launch-template',
    id: version.LaunchTemplateId ?? '',
    detail: `${version.LaunchTemplateName ?? ''}, version ${String(version.VersionNumber ?? '')}`,
  };
}

function groupUses(
  group: AutoScalingGroup,
  versions: readonly LaunchTemplateVersion[],
  imageOf: ImageOf,
): ImageUse[] {
  const texts = [
    ...overridesOf(group),
    ...specificationsOf(group).flatMap(specification =>
      versions
        .filter(version => isMeant(specification, version, versions))
        .map(version => version.LaunchTemplateData?.ImageId),
    ),
  ];
  return [...new Set(texts.map(imageOf))].map(imageId => ({
    imageId,
    kind: 'auto-scaling-group',
    id: group.AutoScalingGroupName ?? '',
  }));
}

async function configurationUses(session: AwsSession, options: CallOptions): Promise<ImageUse[]> {
  const configurations = await pages(async NextToken => {
    const input = { MaxRecords: GROUP_PAGE, NextToken };
    const answer = await session.call('DescribeLaunchConfigurations', input, options);
    return { items: answer.LaunchConfigurations ?? [], next: answer.NextToken };
  });
  return configurations.map(({ ImageId = '', LaunchConfigurationName = '' }) => ({
    imageId: ImageId,
    kind: 'launch-configuration',
    id: LaunchConfigurationName,
  }));
}

function findGroups(session: AwsSession, options: CallOptions): Promise<AutoScalingGroup[]> {
  return pages(async NextToken => {
    const input = { MaxRecords: GROUP_PAGE, NextToken };
    const answer = await session.call('DescribeAutoScalingGroups', input, options);
    return { items: answer.AutoScalingGroups ?? [], next: answer.NextToken };
  });
}

async function findVersions(
  session: AwsSession,
  allVersions: boolean,
  options: CallOptions,
): Promise<LaunchTemplateVersion[]> {
  if (!allVersions) return versionsOf(session, { Versions: ['$Latest', '$Default'] }, options);
  const templates = await pages(async NextToken => {
    const answer = await session.call('DescribeLaunchTemplates', { MaxResults: PAGE, NextToken }, options);
    return { items: answer.LaunchTemplates ?? [], next: answer.NextToken };
  });
  const versions: LaunchTemplateVersion[] = [];
  for (const { LaunchTemplateId } of templates) {
    versions.push(...(await versionsOf(session, { LaunchTemplateId }, options)));
  }
  return versions;
}

/** None of a template or version that is not there (any more). */
async function versionsOf(
  session: AwsSession,
  which: {
    readonly Versions?: string[];
    readonly LaunchTemplateId?: string | undefined;
    readonly LaunchTemplateName?: string | undefined;
  },
  options: CallOptions,
): Promise<LaunchTemplateVersion[]> {
  try {
    return await pages(async NextToken => {
      const input = { ...which, MaxResults: PAGE, NextToken };
      const answer = await session.call('DescribeLaunchTemplateVersions', input, options);
      return { items: answer.LaunchTemplateVersions ?? [], next: answer.NextToken };
    });
  } catch (reason) {
    if (isMissing(reason)) return [];
    throw reason;
  }
}

/** The versions that groups name by number and that are not known yet. */
async function findNamed(
  session: AwsSession,
  groups: readonly AutoScalingGroup[],
  known: readonly LaunchTemplateVersion[],
  options: CallOptions,
): Promise<LaunchTemplateVersion[]> {
  const missing = new Map<string, TemplateSpecification>();
  for (const specification of groups.flatMap(specificationsOf)) {
    const { LaunchTemplateId: id, LaunchTemplateName: name, Version = '' } = specification;
    if (!/^\d+$/.test(Version) || known.some(version => isMeant(specification, version, known))) continue;
    missing.set(JSON.stringify([id ?? name, Version]), specification);
  }
  const versions: LaunchTemplateVersion[] = [];
  for (const { LaunchTemplateId, LaunchTemplateName, Version = '' } of missing.values()) {
    const template = LaunchTemplateId === undefined ? { LaunchTemplateName } : { LaunchTemplateId };
    versions.push(...(await versionsOf(session, { ...template, Versions: [Version] }, options)));
  }
  return versions;
}

function specificationsOf({
  LaunchTemplate,
  MixedInstancesPolicy,
}: AutoScalingGroup): TemplateSpecification[] {
  const mixed = MixedInstancesPolicy?.LaunchTemplate;
  return [
    LaunchTemplate,
    mixed?.LaunchTemplateSpecification,
    ...(mixed?.Overrides ?? []).map(override => override.LaunchTemplateSpecification),
  ].filter(specification => specification !== undefined);
}

/** Images that a group takes in place of those of its templates. */
function overridesOf({ MixedInstancesPolicy }: AutoScalingGroup): string[] {
  const overrides = MixedInstancesPolicy?.LaunchTemplate?.Overrides ?? [];
  return overrides.flatMap(({ ImageId }) => (ImageId === undefined ? [] : [ImageId]));
}

/** Whether a version is the one that a group takes. */
function isMeant(
  { LaunchTemplateId: id, LaunchTemplateName: name, Version = '$Default' }: TemplateSpecification,
  version: LaunchTemplateVersion,
  all: readonly LaunchTemplateVersion[],
): boolean {
  if (id === undefined ? version.LaunchTemplateName !== name : version.LaunchTemplateId !== id) return false;
  if (Version === '$Default') return version.DefaultVersion === true;
  if (Version !== '$Latest') return String(version.VersionNumber) === Version;
  const mine = all.filter(other => other.LaunchTemplateId === version.LaunchTemplateId);
  return mine.every(other => (other.VersionNumber ?? 0) <= (version.VersionNumber ?? 0));
}

/** What tells the image that a template means: its id, or what a parameter says; nothing for a parameter that is not there. */
async function resolver(
  session: AwsSession,
  versions: readonly LaunchTemplateVersion[],
  groups: readonly AutoScalingGroup[],
  options: CallOptions,
): Promise<ImageOf> {
  const texts = [
    ...versions.map(version => version.LaunchTemplateData?.ImageId ?? ''),
    ...groups.flatMap(overridesOf),
  ];
  const names = texts.flatMap(text => RESOLVE.exec(text)?.[1] ?? []);
  const values = await readParameters(session, [...new Set(names)], options);
  return (text = '') => {
    const name = RESOLVE.exec(text)?.[1];
    return name === undefined ? text : (values.get(name) ?? '');
  };
}
