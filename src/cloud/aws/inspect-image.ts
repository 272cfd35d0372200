import type { Image, LaunchPermission, Snapshot } from '@aws-sdk/client-ec2';
import type { EncryptionKey } from './encryption.js';
import { findKey, isEncryptedWith } from './encryption.js';
import { findSnapshot, rootSnapshot } from './find.js';
import { launchPermissions } from './finish-image.js';
import type { Registration } from './register-image.js';
import { registrationInput } from './register-image.js';
import type { AwsSession, CallOptions } from './session.js';
import type { AwsImageSettings } from './settings.js';
import { decodeFacts, DISK_FACTS, fromTagList, visibleTags } from './tags.js';

/** What AWS says of an image. */
export interface InspectedImage {
  readonly image: Image;
  readonly snapshot: Snapshot | undefined;
  readonly permissions: readonly LaunchPermission[];
}

/** Finds what of an image is not as its target wants it, for people. */
export async function inspectImage(
  session: AwsSession,
  image: Image,
  settings: AwsImageSettings,
  target: string,
  options: CallOptions,
): Promise<string[]> {
  const snapshot = await findSnapshot(session, rootSnapshot(image) ?? '', options);
  const input = { ImageId: image.ImageId!, Attribute: 'launchPermission' as const };
  const { LaunchPermissions: permissions = [] } = await session.call(
    'DescribeImageAttribute',
    input,
    options,
  );
  const key = await findKey(session, { ...settings, sharedWith: undefined }, target, options);
  return imageProblems({ image, snapshot, permissions }, settings, key);
}

function imageProblems(
  { image, snapshot, permissions }: InspectedImage,
  settings: AwsImageSettings,
  key: EncryptionKey,
): string[] {
  const tags = fromTagList(image.Tags);
  const facts = decodeFacts(tags[DISK_FACTS]);
  if (snapshot === undefined) return [`its snapshot ${rootSnapshot(image) ?? ''} is gone`];
  if (facts === undefined) return ['its tag DiskFacts was changed'];
  const problems = settingProblems(image, { snapshot, facts, tags: visibleTags(tags), settings });
  if (!isEncryptedWith(snapshot, key))
    problems.push(`its disk is encrypted with ${snapshot.KmsKeyId ?? 'nothing'}`);
  const given = new Set(permissions.map(nameOf));
  const wanted = new Set(launchPermissions(settings).map(nameOf));
  for (const each of wanted) if (!given.has(each)) problems.push(`${each} may not start machines of it`);
  for (const each of given) if (!wanted.has(each)) problems.push(`${each} may start machines of it`);
  return problems;
}

function settingProblems(
  image: Image,
  registration: Pick<Registration, 'snapshot' | 'facts' | 'tags' | 'settings'>,
): string[] {
  const wanted = registrationInput(registration);
  const [mapping] = wanted.BlockDeviceMappings ?? [];
  const ebs = image.BlockDeviceMappings?.find(({ DeviceName }) => DeviceName === image.RootDeviceName)?.Ebs;
  const pairs: readonly [what: string, wanted: unknown, found: unknown][] = [
    ['the architecture', wanted.Architecture, image.Architecture],
    ['the boot mode', wanted.BootMode, image.BootMode],
    ['the root device', wanted.RootDeviceName, image.RootDeviceName],
    ['ENA', wanted.EnaSupport, image.EnaSupport],
    ['the support of IMDS', wanted.ImdsSupport, image.ImdsSupport],
    ['the support of TPM', wanted.TpmSupport, image.TpmSupport],
    ['the type of the root volume', mapping?.Ebs?.VolumeType, ebs?.VolumeType],
    ['the size of the root volume', mapping?.Ebs?.VolumeSize, ebs?.VolumeSize],
    ['the operations a second of the root volume', mapping?.Ebs?.Iops, ebs?.Iops],
    ['the throughput of the root volume', mapping?.Ebs?.Throughput, ebs?.Throughput],
  ];
  return pairs
    .filter(([, want, found]) => want !== found)
    .map(([what, want, found]) => `${what} is ${shown(found)}, not ${shown(want)}`);
}

function shown(value: unknown): string {
  return value === undefined ? 'not said' : JSON.stringify(value);
}

function nameOf({ UserId, OrganizationArn, OrganizationalUnitArn, Group }: LaunchPermission): string {
  if (Group === 'all') return 'everybody';
  return UserId ?? OrganizationArn ?? OrganizationalUnitArn ?? 'somebody';
}
